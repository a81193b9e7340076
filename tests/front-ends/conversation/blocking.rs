//! The sockets that block.

use std::net::TcpStream;

#[cfg(any(feature = "rustls", feature = "ssl"))]
use sockeye::blocking::Tls;
use sockeye::blocking::{Builder, Stream, WebSocket};
use sockeye::protocol::{Config, Role};
use sockeye::{CloseCode, Message};

#[cfg(any(feature = "rustls", feature = "ssl"))]
use super::LIMIT;
use super::keys::{Keys, url};
use super::{End, FrontEnd, Received, Terms};

pub(crate) struct Blocking;

impl FrontEnd for Blocking {
    fn name(&self) -> &'static str {
        "blocking"
    }

    fn open(&self, role: Role, stream: TcpStream, terms: Terms, keys: Option<&Keys>) -> Box<dyn End> {
        let builder = Builder::new().config(Config {
            close_timeout: terms.close_timeout,
            max_message_size: terms.max_message_size,
            deflate: super::messages::deflate(terms),
            ..Config::default()
        });
        match keys {
            Some(keys) => open_tls(&builder, role, stream, keys),
            None => open(&builder, role, stream, keys),
        }
    }
}

fn open<S: Stream + Send + 'static>(
    builder: &Builder,
    role: Role,
    stream: S,
    keys: Option<&Keys>,
) -> Box<dyn End> {
    Box::new(match role {
        Role::Client => builder.client(stream, url(keys)).unwrap().open().unwrap(),
        Role::Server => builder.server(stream).accept().unwrap(),
    })
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
fn open_tls(builder: &Builder, role: Role, stream: TcpStream, keys: &Keys) -> Box<dyn End> {
    let stream = match role {
        Role::Client => Tls::connect(&keys.client, "localhost", stream, LIMIT),
        Role::Server => Tls::accept(&keys.server, stream, LIMIT),
    };
    open(builder, role, stream.unwrap(), Some(keys))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
fn open_tls(_: &Builder, _: Role, _: TcpStream, keys: &Keys) -> Box<dyn End> {
    match *keys {}
}

impl<S: Stream + Send> End for WebSocket<S> {
    fn send(&mut self, message: Message) {
        Self::send(self, message).unwrap();
    }

    fn receive(&mut self) -> Received {
        match self.receive() {
            Ok(Some(message)) => Received::Message(message),
            Ok(None) => ended(self),
            Err(_) => Received::Lost,
        }
    }

    fn close(&mut self, code: CloseCode, reason: &str) -> Received {
        match Self::close(self, code, reason) {
            Ok(_) => ended(self),
            Err(_) => Received::Lost,
        }
    }
}

fn ended<S: Stream>(socket: &WebSocket<S>) -> Received {
    let closed = socket.closed().expect("the connection has ended");
    if closed.was_clean { Received::Close(closed.code, closed.reason) } else { Received::Lost }
}
