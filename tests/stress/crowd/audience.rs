//! Clients that receive everything and ignore it, in one loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use sockeye::{Builder, Handler, Handshake, Result, Sender, Settings};
use url::Url;

use super::print_number;
use crate::handlers::AnyFactory;

/// A client that connects the next one when it opens.
struct Listener {
    out: Sender,
    url: Url,
    /// The number of clients that have not connected.
    missing: Arc<AtomicUsize>,
}

impl Handler for Listener {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        match self.missing.load(SeqCst) {
            0 => {
                print_number(0);
                Ok(())
            }
            missing => {
                self.missing.store(missing - 1, SeqCst);
                self.out.connect(self.url.clone())
            }
        }
    }
}

/// Opens the clients one after the other. The loop ends with the server.
pub(super) fn run(server: SocketAddr, count: usize) {
    let url: Url = format!("ws://{server}/").parse().unwrap();
    let missing = Arc::new(AtomicUsize::new(count - 1));
    let settings = Settings { max_connections: count, ..Settings::default() };
    let first = url.clone();
    let factory =
        AnyFactory::new(move |out| Listener { out, url: url.clone(), missing: Arc::clone(&missing) });
    let mut socket = Builder::new().with_settings(settings).build(factory).unwrap();
    socket.connect(first).unwrap();
    socket.run().unwrap();
}
