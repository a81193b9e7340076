//! The event loop, each end on a loop and a thread of its own.

use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender as Channel, channel};
use std::thread;

use sockeye::protocol::Role;
use sockeye::{
    Builder, CloseCode, Factory, Handler, Handshake, Message, Result, Sender, Settings, WebSocket,
};

use super::keys::{Keys, url};
use super::{End, FrontEnd, LIMIT, Received, Terms};

pub(crate) struct Reactor;

/// What the thread of a test has of a connection.
struct Remote {
    out: Sender,
    received: Receiver<Received>,
}

/// Sends what it receives through a channel.
struct Teller {
    out: Sender,
    opened: Option<Channel<Sender>>,
    tx: Channel<Received>,
}

impl FrontEnd for Reactor {
    fn name(&self) -> &'static str {
        "reactor"
    }

    fn open(&self, role: Role, stream: TcpStream, terms: Terms, keys: Option<&Keys>) -> Box<dyn End> {
        let settings = Settings {
            close_timeout: terms.close_timeout,
            max_message_size: terms.max_message_size,
            deflate: super::messages::deflate(terms),
            ..Settings::default()
        };
        let ((tx, received), (opened, open)) = (channel(), channel());
        let (keys, url) = (keys.cloned(), url(keys));
        thread::spawn(move || -> Result<()> {
            let mut opened = Some(opened);
            let mut socket = Builder::new().with_settings(settings).build(|out| Teller {
                out,
                opened: opened.take(),
                tx: tx.clone(),
            })?;
            socket = encrypt(socket, keys);
            match role {
                Role::Client => {
                    socket.connect_stream(url.parse().expect("the URL is valid"), stream)?;
                }
                Role::Server => {
                    socket.accept_stream(stream)?;
                }
            }
            socket.run().map(drop)
        });
        Box::new(Remote { out: open.recv_timeout(LIMIT).unwrap(), received })
    }
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
fn encrypt<F: Factory>(socket: WebSocket<F>, keys: Option<Keys>) -> WebSocket<F> {
    match keys {
        Some(keys) => socket.with_client_tls(keys.client).with_server_tls(keys.server),
        None => socket,
    }
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
fn encrypt<F: Factory>(socket: WebSocket<F>, _: Option<Keys>) -> WebSocket<F> {
    socket
}

impl Handler for Teller {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(self.out.clone());
        }
        Ok(())
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        let _ = self.tx.send(Received::Message(message));
        Ok(())
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        let lost = code == CloseCode::Abnormal;
        let _ = self.tx.send(if lost { Received::Lost } else { Received::close(code, reason) });
    }
}

impl End for Remote {
    fn send(&mut self, message: Message) {
        self.out.send(message).unwrap();
    }

    fn receive(&mut self) -> Received {
        self.received.recv_timeout(LIMIT * 2).unwrap()
    }

    fn close(&mut self, code: CloseCode, reason: &str) -> Received {
        // The peer may have been faster, and the loop be gone.
        let _ = self.out.close_with_reason(code, reason.to_owned());
        loop {
            match self.receive() {
                Received::Message(_) => {}
                end => return end,
            }
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.out.shutdown();
    }
}
