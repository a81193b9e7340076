//! W7: peers that read slowly receive everything that was queued before the end of the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sockeye::{Builder, CloseCode, Handler, Handshake, Request, Response, Result, Sender, Settings};
use sockeye_test_support::server::Server;
use sockeye_test_support::wait_until;

use crate::crowd::Crowd;
use crate::dial::small_listener;
use crate::handlers::AnyFactory;
use crate::options::Options;
use crate::report::Report;

const READERS: usize = 20;

/// The length of a message in bytes.
const LEN: usize = 64 * 1024;

/// The time limit for the closing handshake. Reading takes at least ten times as long.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// The resource that is a page instead of a WebSocket.
const PAGE: &str = "/page";

/// What the server sends, and how it ends the connection.
struct Generous {
    out: Sender,
    /// The number of messages.
    count: usize,
    closes: bool,
    /// The number of connections for which everything is queued.
    queued: Arc<AtomicUsize>,
}

impl Handler for Generous {
    fn on_request(&mut self, request: &Request) -> Result<Response> {
        if request.resource() != PAGE {
            return Response::from_request(request);
        }
        Ok(Response::new(200, "OK", vec![7; self.count * LEN]))
    }

    fn on_open(&mut self, _: Handshake) -> Result<()> {
        (0..self.count).try_for_each(|_| self.out.send(vec![7; LEN]))?;
        self.queued.fetch_add(1, SeqCst);
        if self.closes { self.out.close(CloseCode::Normal) } else { Ok(()) }
    }
}

/// The server closes each connection after it has queued everything.
pub(crate) fn close(options: &Options, report: &mut Report) {
    measure(options, report, "/messages", true, |_, _| ());
}

/// The server shuts down after it has queued everything.
pub(crate) fn shutdown(options: &Options, report: &mut Report) {
    measure(options, report, "/messages", false, |server, queued| {
        wait_until("everything is queued", || queued.load(SeqCst) == READERS);
        server.all.shutdown().unwrap();
    });
}

/// The server answers with a long page.
pub(crate) fn response(options: &Options, report: &mut Report) {
    measure(options, report, PAGE, false, |_, _| ());
}

/// Measures how much slow readers receive of what the server sends before the end of the connection.
fn measure(
    options: &Options,
    report: &mut Report,
    resource: &str,
    closes: bool,
    then: impl FnOnce(&Server, &AtomicUsize),
) {
    let settings = Settings {
        close_timeout: CLOSE_TIMEOUT,
        // A peer that needs longer than this for its first read loses something.
        write_timeout: options.protected(Some(Duration::from_secs(10)), Some(Duration::from_millis(1))),
        ..Settings::default()
    };
    let (count, queued) = (options.pick(32, 192), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&queued);
    let factory = AnyFactory::new(move |out| Generous { out, count, closes, queued: Arc::clone(&counted) });
    let server = Server::spawn(move || {
        Builder::new().with_settings(settings).build(factory)?.bind_listener(small_listener())
    });
    let crowd = Crowd::readers(server.addr, resource, READERS);
    then(&server, &queued);
    report.equals("bytes that slow readers receive", crowd.number(), READERS * count * LEN);
    report.equals("connections that end completely", crowd.number(), READERS);
    drop(server);
}
