//! W8: how much longer an echo takes while other connections keep the loop busy.

use std::thread;
use std::time::{Duration, Instant};

use sockeye::{Deflate, Frame, Message, OpCode, Overflow, Sender, Settings};
use sockeye_test_support::nuisance::{Nuisance, commands, connections, flood};
use sockeye_test_support::peer::Peer;
use sockeye_test_support::server::Server;
use sockeye_test_support::wait_until;

use super::MIB;
use crate::crowd::{Crowd, compressed_message, open_compressed};
use crate::handlers::AnyFactory;
use crate::options::Options;
use crate::report::Report;

/// The least number of echoes of a measurement.
const LEAST: usize = 10;

/// A measurement is repeated this many times at most, because a busy machine delays single echoes. A loop that starves its
/// connections fails each time.
const ATTEMPTS: usize = 3;

/// The highest ratios to an undisturbed echo, which takes about 20 µs.
#[derive(Debug, Clone, Copy)]
struct Bars {
    median: f64,
    most: f64,
}

/// For work that is cut into small parts. An idle machine needs less than a tenth of it.
const BRIEF: Bars = Bars { median: 300.0, most: 1000.0 };

/// For work that fills turns of 10 ms: several turns, and what cannot be interrupted.
const LONG: Bars = Bars { median: 1000.0, most: 1500.0 };

/// The longest turn without protection.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Floods with work that is cut into small parts.
pub(crate) fn floods(options: &Options, report: &mut Report) {
    let binary = |len| Frame::message(vec![7; len], OpCode::Binary, true);
    let mut measure = |name: &str, start: &dyn Fn(&Server) -> Nuisance| {
        measure(options, report, name, BRIEF, start);
    };
    measure("large messages", &|server| flood(server, binary(MIB)));
    measure("small messages", &|server| flood(server, binary(10)));
    measure("empty pings", &|server| flood(server, Frame::ping(Vec::new())));
    measure("new connections", &connections);
    measure("commands", &commands);
}

/// Messages that inflate to 15 MiB each.
pub(crate) fn inflation(options: &Options, report: &mut Report) {
    measure(options, report, "inflation on 1 connection", LONG, &|server| inflate(server, 1));
    measure(options, report, "inflation on 8 connections", LONG, &|server| inflate(server, 8));
}

/// Broadcasts to clients that read.
pub(crate) fn broadcasts(options: &Options, report: &mut Report) {
    let audience = options.pick(1000, 5000);
    measure(options, report, "broadcasts to many", LONG, &|server| broadcast(server, audience));
}

/// Measures echoes without and with a nuisance, until the bars are met.
fn measure(
    options: &Options,
    report: &mut Report,
    name: &str,
    bars: Bars,
    start: &dyn Fn(&Server) -> Nuisance,
) {
    let mut ratios = (0..ATTEMPTS).map(|_| ratios(options, start));
    let is_met = |(median, most): &(f64, f64)| *median <= bars.median && *most <= bars.most;
    let first = ratios.next().expect("there is an attempt");
    let (median, most) = if is_met(&first) { first } else { ratios.find(is_met).unwrap_or(first) };
    report.ratio(&format!("{name}, median"), median, bars.median);
    report.ratio(&format!("{name}, 90 %"), most, bars.most);
}

/// Returns the median of the disturbed echoes, and what 90 % of them do not exceed, as ratios to an undisturbed one.
fn ratios(options: &Options, start: &dyn Fn(&Server) -> Nuisance) -> (f64, f64) {
    let span = options.pick(Duration::from_millis(500), Duration::from_secs(5));
    let server = start_server(options);
    let mut peer = Peer::open(server.addr);
    let usual = quantile(&echo_times(&mut peer, span / 5), 0.5);
    let nuisance = start(&server);
    wait_until("the nuisance begins", || nuisance.count() > 0);
    let disturbed = echo_times(&mut peer, span);
    nuisance.end();
    peer.finish();
    server.stop();
    let ratio = |share| quantile(&disturbed, share).as_secs_f64() / usual.as_secs_f64();
    (ratio(0.5), ratio(0.9))
}

/// Starts a server that echoes messages of up to 1 MiB. The replies to a flood are dropped, so that it continues.
fn start_server(options: &Options) -> Server {
    let settings = Settings {
        overflow: Overflow::Drop,
        max_buffered: MIB,
        deflate: Some(Deflate::default()),
        max_turn: options.protected(Settings::default().max_turn, ENDLESS),
        ..Settings::default()
    };
    let echo = |out: Sender| move |msg: Message| if msg.len() <= MIB { out.send(msg) } else { Ok(()) };
    AnyFactory::new(echo).serve(settings)
}

/// Echoes for this time, and at least [`LEAST`] times. Returns the times of the echoes in ascending order.
fn echo_times(peer: &mut Peer, span: Duration) -> Vec<Duration> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < LEAST || start.elapsed() < span {
        let before = Instant::now();
        peer.echo(&times.len().to_string());
        times.push(before.elapsed());
    }
    times.sort_unstable();
    times
}

/// Returns how long an echo takes, at most, that begins at one of this share of all moments.
///
/// An echo counts as often as it is long. Otherwise, a loop that stops for a second now and then would hide that behind
/// thousands of fast echoes.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let total: Duration = sorted.iter().sum();
    let mut passed = Duration::ZERO;
    let found = sorted.iter().find(|time| {
        passed += **time;
        passed >= total.mul_f64(share)
    });
    *found.or(sorted.last()).expect("there are echoes")
}

/// Sends messages that inflate to 15 MiB each repeatedly.
fn inflate(server: &Server, connections: usize) -> Nuisance {
    let mut peers: Vec<Peer> = (0..connections).map(|_| open_compressed(server.addr)).collect();
    let messages = compressed_message(15 * MIB).repeat(4);
    Nuisance::start(move || peers.iter_mut().for_each(|peer| peer.send(&messages)))
}

/// Broadcasts repeatedly to clients in another process.
fn broadcast(server: &Server, count: usize) -> Nuisance {
    let crowd = Crowd::audience(server.addr, count);
    crowd.number();
    let all = server.all.clone();
    Nuisance::start(move || {
        let _crowd = &crowd;
        // The queue may be full.
        let _ = all.broadcast(vec![7; 100]);
        thread::sleep(Duration::from_millis(1));
    })
}
