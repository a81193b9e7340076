//! The sockets that block.

use std::net::TcpStream;

use sockeye::blocking::{Builder, WebSocket};
use sockeye::protocol::{Config, Role};
use sockeye::{CloseCode, Message};

use super::{End, FrontEnd, Received, Terms};

pub(crate) struct Blocking;

impl FrontEnd for Blocking {
    fn name(&self) -> &'static str {
        "blocking"
    }

    fn open(&self, role: Role, stream: TcpStream, terms: Terms) -> Box<dyn End> {
        let builder = Builder::new().config(Config {
            close_timeout: terms.close_timeout,
            max_message_size: terms.max_message_size,
            deflate: super::messages::deflate(terms),
            ..Config::default()
        });
        Box::new(match role {
            Role::Client => builder.client(stream, "ws://localhost/chat").unwrap().open().unwrap(),
            Role::Server => builder.server(stream).accept().unwrap(),
        })
    }
}

impl End for WebSocket<TcpStream> {
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

fn ended(socket: &WebSocket<TcpStream>) -> Received {
    let closed = socket.closed().expect("the connection has ended");
    if closed.was_clean { Received::Close(closed.code, closed.reason) } else { Received::Lost }
}
