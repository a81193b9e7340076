//! Connections of the loop to servers in memory, and requests that are no upgrades.

use std::cell::RefCell;
use std::time::Duration;

use sockeye::testing::TestLoop;
use sockeye::{
    CloseCode, Error, Factory, Handler, Handshake, Message, Request, Response, Result, Sender, Settings,
};

/// A proxy: each client of the loop gets a connection to a server.
struct Proxy;

enum Side {
    Client(Sender),
    Server(Sender),
}

impl Factory for Proxy {
    type Handler = Side;

    fn connection_made(&mut self, out: Sender) -> Side {
        Side::Client(out)
    }

    fn client_connected(&mut self, out: Sender) -> Side {
        Side::Server(out)
    }
}

impl Handler for Side {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        match self {
            Self::Client(out) => match "ws://backend.example/feed".parse() {
                Ok(url) => out.connect(url),
                Err(_) => Ok(()),
            },
            Self::Server(out) => out.send("hello, backend"),
        }
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        let (Self::Client(out) | Self::Server(out)) = self;
        out.broadcast(msg)
    }
}

#[test]
fn a_handler_connects_to_a_server() {
    let kit = TestLoop::new(Proxy);
    let backend = kit.serve();
    let client = kit.connect("/");
    assert_eq!(backend.receive(), "hello, backend".into());
    assert_eq!((backend.request().resource(), backend.response().status()), ("/feed", 101));
    backend.send("news");
    assert_eq!((client.receive(), backend.receive()), ("news".into(), "news".into()));
    backend.close_with_reason(CloseCode::Restart, "see you");
    assert_eq!(backend.closed().code, CloseCode::Restart);
    assert!(client.is_open());
}

/// Records why it has no connection.
struct Dialer<'t>(Sender, &'t RefCell<Vec<String>>);

impl Handler for Dialer<'_> {
    fn build_request(&mut self, url: &sockeye::url::Url) -> Result<Request> {
        let mut request = Request::from_url(url)?;
        request.set_header("Authorization", "Bearer secret")?;
        Ok(request)
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.0.send("open")
    }

    fn on_error(&mut self, err: Error) {
        self.1.borrow_mut().push(err.to_string());
    }
}

#[test]
fn a_server_decides_about_the_request() -> Result<()> {
    let errors = RefCell::default();
    let kit = TestLoop::new(|out| Dialer(out, &errors));
    let admits = |request: &Request| match request.header("Authorization").map(Vec::as_slice) {
        Some(b"Bearer secret") => Response::from_request(request).unwrap_or_else(|_| refusal()),
        _ => refusal(),
    };
    let (first, second) = (kit.serve_with(admits), kit.serve_with(|_| refusal()));
    for _ in 0..2 {
        connect(&kit, "ws://server.example/")?;
        kit.run_until_idle();
    }
    assert_eq!((first.receive(), second.response().status()), ("open".into(), 403));
    assert_eq!(errors.borrow().len(), 1);
    // There is no third server, and the name of a fourth is unknown.
    connect(&kit, "ws://server.example/")?;
    connect(&kit, "ws://server.invalid/")?;
    kit.run_until_idle();
    assert_eq!(errors.borrow().len(), 3, "{errors:?}");
    Ok(())
}

fn refusal() -> Response {
    Response::new(403, "Forbidden", Vec::new())
}

fn connect(kit: &TestLoop<'_>, url: &str) -> Result<()> {
    let Ok(url) = url.parse() else { panic!("{url} is a URL") };
    kit.sender().connect(url)
}

#[test]
fn a_server_that_does_not_answer_is_given_up() -> Result<()> {
    let errors = RefCell::default();
    let settings = Settings { handshake_timeout: Duration::from_secs(5), ..Settings::default() };
    let kit = TestLoop::with_settings(settings, |out| Dialer(out, &errors));
    let server = kit.serve();
    server.fall_silent();
    connect(&kit, "ws://server.example/")?;
    kit.advance(Duration::from_secs(4));
    assert!(errors.borrow().is_empty());
    kit.advance(Duration::from_secs(1));
    assert_eq!(errors.borrow().len(), 1, "{errors:?}");
    Ok(())
}

#[test]
fn pages_and_requests_with_errors_are_answered() {
    struct Pages;

    impl Handler for Pages {
        fn on_request(&mut self, req: &Request) -> Result<Response> {
            match req.resource() {
                "/" => Ok(Response::new(200, "OK", b"<h1>Salmon</h1>".to_vec())),
                "/chat" => Response::from_request(req),
                _ => Ok(Response::new(404, "Not Found", Vec::new())),
            }
        }
    }

    let kit = TestLoop::new(|_| Pages);
    let page = kit.get("/");
    assert_eq!((page.status(), page.body()), (200, &b"<h1>Salmon</h1>"[..]));
    assert_eq!(kit.get("/favicon.ico").status(), 404);
    assert!(kit.send_raw(b"nonsense\r\n\r\n").starts_with(b"HTTP/1.1 400 "));
    assert!(kit.connect("/chat").is_open());
    let client = kit.client("/elsewhere").open();
    assert_eq!(client.response().status(), 404);
}

#[test]
fn origins_and_subprotocols_are_those_of_the_settings() -> Result<()> {
    let settings = Settings {
        origins: sockeye::Origins::Only(&["https://example.com"]),
        subprotocols: &["v2", "v1"],
        ..Settings::default()
    };
    let kit = TestLoop::with_settings(settings, |_| |_| Ok(()));
    let foreign = kit.client("/").header("Origin", "https://example.org").open();
    assert_eq!(foreign.response().status(), 403);
    let client = kit.client("/").header("Origin", "https://example.com");
    let client = client.subprotocol("v1").connect();
    assert_eq!(client.response().protocol()?, Some("v1"));
    Ok(())
}
