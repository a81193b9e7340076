//! The async sockets, on a runtime of tokio for each end.

use std::net::TcpStream;

#[cfg(any(feature = "rustls", feature = "ssl"))]
use sockeye::futures::Tls;
use sockeye::futures::{Builder, Compat, Timer, Transport, WebSocket};
use sockeye::protocol::{Config, Role};
use sockeye::{CloseCode, Closed, Message};
use tokio::runtime::{self, Runtime};

use super::keys::{Keys, url};
use super::{End, FrontEnd, Received, Terms};

pub(crate) struct Futures;

type Stream = Compat<tokio::net::TcpStream>;

/// A socket, and what it runs on.
struct Running<S: Transport> {
    socket: WebSocket<S>,
    runtime: Runtime,
}

impl FrontEnd for Futures {
    fn name(&self) -> &'static str {
        "futures"
    }

    fn open(&self, role: Role, stream: TcpStream, terms: Terms, keys: Option<&Keys>) -> Box<dyn End> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let builder = Builder::new().timer(Timer::tokio()).config(Config {
            close_timeout: terms.close_timeout,
            max_message_size: terms.max_message_size,
            deflate: super::messages::deflate(terms),
            ..Config::default()
        });
        stream.set_nonblocking(true).unwrap();
        let entered = runtime.enter();
        let stream = Compat(tokio::net::TcpStream::from_std(stream).unwrap());
        drop(entered);
        match keys {
            Some(keys) => open_tls(runtime, &builder, role, stream, keys),
            None => open(runtime, &builder, role, stream, keys),
        }
    }
}

fn open<S: Transport + Send + 'static>(
    runtime: Runtime,
    builder: &Builder,
    role: Role,
    stream: S,
    keys: Option<&Keys>,
) -> Box<dyn End> {
    let socket = runtime.block_on(async {
        match role {
            Role::Client => builder.client(stream, url(keys)).unwrap().open().await.unwrap(),
            Role::Server => builder.server(stream).accept().await.unwrap(),
        }
    });
    Box::new(Running { socket, runtime })
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
fn open_tls(runtime: Runtime, builder: &Builder, role: Role, stream: Stream, keys: &Keys) -> Box<dyn End> {
    let stream = runtime.block_on(async {
        match role {
            Role::Client => Tls::connect(&keys.client, "localhost", stream).await,
            Role::Server => Tls::accept(&keys.server, stream).await,
        }
    });
    open(runtime, builder, role, stream.unwrap(), Some(keys))
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
fn open_tls(_: Runtime, _: &Builder, _: Role, _: Stream, keys: &Keys) -> Box<dyn End> {
    match *keys {}
}

impl<S: Transport + Send> End for Running<S> {
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
