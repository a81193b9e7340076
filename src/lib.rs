//! Event-driven WebSockets.

mod close;
mod error;
#[cfg(feature = "reactor")]
mod factory;
#[cfg(feature = "reactor")]
mod handler;
#[cfg(feature = "reactor")]
mod handshake;
mod io;
mod message;
pub mod protocol;
#[cfg(feature = "reactor")]
mod reactor;
#[cfg(feature = "reactor")]
mod sender;
#[cfg(feature = "reactor")]
mod settings;
#[cfg(feature = "reactor")]
pub mod util;

#[cfg(feature = "reactor")]
use std::borrow::Borrow;
#[cfg(feature = "reactor")]
use std::fmt::Debug;
#[cfg(feature = "reactor")]
use std::net::ToSocketAddrs;

pub use close::CloseCode;
pub use error::{Error, ErrorKind, QueueError, Result};
#[cfg(feature = "reactor")]
pub use factory::Factory;
#[cfg(feature = "reactor")]
pub use handler::Handler;
#[cfg(feature = "reactor")]
pub use handshake::Handshake;
pub use message::Message;
pub use protocol::handshake::{Origins, Request, Response};
pub use protocol::{Frame, OpCode};
#[cfg(feature = "reactor")]
pub use reactor::{Builder, WebSocket};
#[cfg(feature = "reactor")]
pub use sender::Sender;
#[cfg(feature = "reactor")]
pub use settings::{Overflow, Settings, TrustedProxies};

/// Runs a server on an address, with the default [`Settings`], until it is shut down.
///
/// # Errors
///
/// `Io` if the address cannot be bound, or waiting for events fails.
///
/// # Examples
///
/// ```no_run
/// sockeye::listen("127.0.0.1:3012", |out| move |msg| out.send(msg))?;
/// # sockeye::Result::Ok(())
/// ```
#[cfg(feature = "reactor")]
pub fn listen<A, F, H>(addr: A, factory: F) -> Result<()>
where
    A: ToSocketAddrs + Debug,
    F: FnMut(Sender) -> H,
    H: Handler,
{
    WebSocket::new(factory)?.listen(addr).map(drop)
}

/// Runs a server on a Unix domain socket, with the default [`Settings`], until it is shut down.
///
/// # Errors
///
/// `Io` if the path exists already or cannot be bound, or waiting for events fails.
#[cfg(all(feature = "reactor", unix))]
pub fn listen_unix<P, F, H>(path: P, factory: F) -> Result<()>
where
    P: AsRef<std::path::Path>,
    F: FnMut(Sender) -> H,
    H: Handler,
{
    WebSocket::new(factory)?.listen_unix(path).map(drop)
}

/// Runs a client, with the default [`Settings`], until its connection has ended.
///
/// # Errors
///
/// `Internal` for a URL that cannot be read. If the connection never opened, the reason, which the handler's
/// `on_error` has heard as well.
///
/// # Examples
///
/// ```no_run
/// use sockeye::CloseCode;
///
/// sockeye::connect("ws://127.0.0.1:3012", |out| {
///     let _ = out.send("hello");
///     move |msg| {
///         println!("received {msg}");
///         out.close(CloseCode::Normal)
///     }
/// })?;
/// # sockeye::Result::Ok(())
/// ```
#[cfg(feature = "reactor")]
pub fn connect<U, F, H>(url: U, factory: F) -> Result<()>
where
    U: Borrow<str>,
    F: FnMut(Sender) -> H,
    H: Handler,
{
    let url = url.borrow();
    let parsed = url::Url::parse(url)
        .map_err(|err| Error::new(ErrorKind::Internal, format!("the URL {url:?} cannot be read: {err}")))?;
    let mut socket = WebSocket::new(factory)?;
    socket.connect(parsed)?;
    let mut socket = socket.run()?;
    socket.take_failure().map_or(Ok(()), Err)
}
