//! The async sockets, on a runtime of tokio for each end.

use std::net::TcpStream;

use sockeye::futures::{Builder, Compat, Timer, WebSocket};
use sockeye::protocol::{Config, Role};
use sockeye::{CloseCode, Closed, Message};
use tokio::runtime::{self, Runtime};

use super::{End, FrontEnd, Received, Terms};

pub(crate) struct Futures;

type Socket = WebSocket<Compat<tokio::net::TcpStream>>;

/// A socket, and what it runs on.
struct Running {
    socket: Socket,
    runtime: Runtime,
}

impl FrontEnd for Futures {
    fn name(&self) -> &'static str {
        "futures"
    }

    fn open(&self, role: Role, stream: TcpStream, terms: Terms) -> Box<dyn End> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let builder = Builder::new().timer(Timer::tokio()).config(Config {
            close_timeout: terms.close_timeout,
            max_message_size: terms.max_message_size,
            deflate: super::messages::deflate(terms),
            ..Config::default()
        });
        stream.set_nonblocking(true).unwrap();
        let socket = runtime.block_on(async {
            let stream = Compat(tokio::net::TcpStream::from_std(stream).unwrap());
            match role {
                Role::Client => builder.client(stream, "ws://localhost/chat").unwrap().open().await.unwrap(),
                Role::Server => builder.server(stream).accept().await.unwrap(),
            }
        });
        Box::new(Running { socket, runtime })
    }
}

impl End for Running {
    fn send(&mut self, message: Message) {
        self.runtime.block_on(self.socket.send(message)).unwrap();
    }

    fn receive(&mut self) -> Received {
        self.runtime.block_on(async {
            match self.socket.receive().await {
                Ok(Some(message)) => Received::Message(message),
                Ok(None) => ended(self.socket.closed().await),
                Err(_) => Received::Lost,
            }
        })
    }

    fn close(&mut self, code: CloseCode, reason: &str) -> Received {
        let closed = self.runtime.block_on(self.socket.close(code, reason));
        closed.map_or(Received::Lost, ended)
    }
}

fn ended(closed: Closed) -> Received {
    if closed.was_clean { Received::Close(closed.code, closed.reason) } else { Received::Lost }
}
