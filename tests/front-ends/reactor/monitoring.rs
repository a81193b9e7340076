//! `/metrics` and `/health` of a loop that serves clients, and the format of the text.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use sockeye::{CloseCode, Handler, LoopStatus, Message, Request, Response, Result, Sender, Stats};

use sockeye_test_support::peer::Peer;
use sockeye_test_support::server::Server;
use sockeye_test_support::wait_until;

/// Returns messages, and answers requests for its two pages.
struct Monitored(Sender);

impl Handler for Monitored {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        match req.resource() {
            "/metrics" => Ok(self.0.stats().to_response()),
            "/health" => Ok(Response::new(200, "OK", self.0.health().to_string().into())),
            _ => Response::from_request(req),
        }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.send(msg)
    }
}

/// Returns the head and the body of a page.
fn page(address: SocketAddr, path: &str) -> (String, String) {
    let mut peer = Peer::connect(address);
    write!(peer.stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let text = peer.rest_text();
    let (head, body) = text.split_once("\r\n\r\n").expect("the head is complete");
    (head.to_owned(), body.to_owned())
}

/// A family of the text format.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    /// The values, by labels.
    samples: HashMap<Vec<(String, String)>, f64>,
}

/// Parses the text format, version 0.0.4. Each family must begin with its HELP and its TYPE line, and have one sample for each set of labels.
fn parse(text: &str) -> HashMap<String, Family> {
    assert!(text.ends_with('\n'));
    let (mut families, mut lines) = (HashMap::new(), text.lines().peekable());
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").expect("a family begins with HELP");
        let (name, help) = help.split_once(' ').unwrap();
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
        assert!(is_name(name) && !help.is_empty() && matches!(kind, "counter" | "gauge"), "{line}");
        let mut family = Family { kind: kind.to_owned(), ..Family::default() };
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (labels, value) =
                sample(line.strip_prefix(name).expect("the sample has the name of its family"));
            assert!(value >= 0.0 && family.samples.insert(labels, value).is_none(), "{line}");
        }
        assert!(families.insert(name.to_owned(), family).is_none(), "{name} exists twice");
    }
    families
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char == '_' || char.is_ascii_lowercase())
}

/// Parses what follows the name of a sample: labels in braces, a space, and a number.
fn sample(rest: &str) -> (Vec<(String, String)>, f64) {
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once("} ").expect("the labels end"),
        None => ("", rest.strip_prefix(' ').expect("a space precedes the value")),
    };
    let label = |text: &str| {
        let (name, value) = text.split_once('=').expect("a label has a value");
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect("it is quoted");
        assert!(is_name(name) && !value.contains(['"', '\\', '\n']));
        (name.to_owned(), value.to_owned())
    };
    let labels = labels.split(',').filter(|text| !text.is_empty()).map(label).collect();
    (labels, value.parse().expect("the value is a number"))
}

#[test]
fn a_loop_shows_its_statistics_and_its_health() {
    let server = Server::run(|| Monitored);
    let out = server.all.clone();
    let mut client = Peer::open(server.addr);
    client.echo("hello");
    // A turn is published at its end, which may be after the reply.
    wait_until("the turn has ended", || out.stats().messages_sent == 1);

    let (head, body) = page(server.addr, "/metrics");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("Content-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    let families = parse(&body);
    let value = |name: &str, label: Option<(&str, &str)>| {
        let labels = label.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        families[name].samples.get::<Vec<_>>(&labels).copied()
    };
    assert_eq!(value("sockeye_connections_open", None), Some(1.0));
    assert_eq!(value("sockeye_connections_opened_total", Some(("role", "server"))), Some(1.0));
    assert_eq!(value("sockeye_messages_received_total", None), Some(1.0));
    assert!(value("sockeye_received_bytes_total", None) > Some(100.0));
    assert_eq!(families["sockeye_lag_seconds"].kind, "gauge");
    assert_eq!(families["sockeye_turns_total"].kind, "counter");

    let (head, body) = page(server.addr, "/health");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.starts_with("running, lag "), "{head} {body}");
    let health = out.health();
    assert!(
        health.status == LoopStatus::Running && health.is_responsive(Duration::from_secs(60)),
        "{health:?}"
    );

    client.close(1000);
    drop(client);
    wait_until("the connection has ended", || out.stats().connections_open == 0);
    let stats = out.stats();
    assert_eq!(
        (stats.closed_by_code, stats.refused_by_status),
        (vec![(CloseCode::Normal, 1)], vec![(200, 2)])
    );
    server.stop();
    assert_eq!(out.health().status, LoopStatus::Ended);
}

#[test]
fn every_value_is_exported() {
    let mut stats = Stats::default();
    stats.refused_by_status = vec![(400, 1), (503, 2)];
    stats.closed_by_code = vec![(CloseCode::Normal, 3), (CloseCode::Other(1014), 4)];
    stats.closed_otherwise = 5;
    stats.busy = Duration::from_millis(2500);
    let families = parse(&stats.to_prometheus());
    let sum = |name: &str| families[name].samples.values().sum::<f64>();
    assert_eq!(sum("sockeye_requests_refused_total"), 3.0);
    assert_eq!(sum("sockeye_connections_closed_total"), 12.0);
    assert_eq!(sum("sockeye_busy_seconds_total"), 2.5);
    // A field that is added needs a family. Nine fields are values of a label of four families, and that of the cluster is empty.
    let text = format!("{stats:#?}");
    let is_field =
        |line: &&str| line.starts_with("    ") && line.contains(": ") && !line.starts_with("     ");
    assert_eq!(families.len(), text.lines().filter(is_field).count() - 9 + 4 - 1);
}
