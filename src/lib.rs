//! Event-driven WebSockets: implement [`Handler`], and a loop on a single thread does the rest.
//!
//! ```no_run
//! // An echo server. Any browser, and any other client, can talk to it.
//! # #[cfg(feature = "reactor")]
//! sockeye::listen("127.0.0.1:3012", |out| {
//!     move |msg| {
//!         println!("received {msg}");
//!         out.send(msg)
//!     }
//! })?;
//! # sockeye::Result::Ok(())
//! ```
//!
//! # How it works
//!
//! ```text
//!                        one thread: WebSocket::run
//!            +--------------------------------------------------+
//!   TCP ---->|  connection 0:  socket  protocol  your Handler --|--.
//!   TCP ---->|  connection 1:  socket  protocol  your Handler --|--|   on_open, on_message,
//!   TCP ---->|  connection 2:  socket  protocol  your Handler --|--|   on_close, on_timeout ...
//!            |  ...                                             |  |
//!            |  listeners, time-outs, one buffer for all reads  |  |
//!            +-------------------------^------------------------+  |
//!                                      |  queue                    |
//!                                      '------ Sender, Sender, ... <--- and any other thread
//! ```
//!
//! - A [`Factory`], usually a closure, makes a [`Handler`] for every connection, and gives it a [`Sender`].
//! - The loop calls the handlers, one at a time. They need no lock, no `Send`, no `'static`; and they must not block, as
//!   everyone else waits for them.
//! - A [`Sender`] queues what its connection is to do. It can be cloned, and used from any thread.
//! - A loop has any number of listeners, and of connections of its own as a client: both roles have the same handlers.
//! - [`Settings`] has all the limits. Nothing that a peer does can make the loop crash, wait, or grow without bound.
//!
//! [`listen`] and [`connect`] are for the simple cases; [`WebSocket`] and [`Builder`] for all others.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `reactor` | yes | the loop: everything but [`protocol`] and the types it shares with it |
//! | `ssl` | no | TLS for the loop, by the OpenSSL of the system: `wss://` URLs, [`WebSocket::with_server_tls`] |
//! | `ssl-vendored` | no | the same, with an OpenSSL that is compiled along |
//! | `blocking` | no | [`blocking::WebSocket`], a socket that blocks, for programs without a loop |
//! | `upgrade` | no | [`upgrade`]: a request that another HTTP server has read becomes a WebSocket |
//! | `futures` | no | `futures`: an async socket, over any stream of `futures-io`, on any runtime |
//! | `tokio` | no | the same with `connect`, `accept` and time-outs by tokio, with TLS if there is `ssl` |
//! | `browser` | no | `browser`: the browser's own WebSocket, on the targets of WebAssembly, without the default features |
//! | `permessage-deflate` | no | compression (RFC 7692): [`Settings::deflate`], or `deflate::DeflateHandler` as in `ws` |
//!
//! With `default-features = false` the [protocol core](protocol) alone is left: RFC 6455 without any I/O, for who brings
//! their own. Only the two features of TLS need a C library, or a C compiler.
//!
//! # TLS
//!
//! With the feature `ssl` a client connects to `wss://` URLs as to others; the certificate of the server is verified, by
//! the trust roots of the system, for the host of the URL, be that a name or an IP address.
//! [`WebSocket::with_client_tls`] is for other roots, and for clients that have a certificate themselves. A server gets
//! its certificate by [`WebSocket::with_server_tls`], and another one while it runs by [`ServerTls::replace`].
//!
//! TLS 1.2 and 1.3, ALPN `http/1.1`, no renegotiation. The handshake belongs to the opening: it does not block the loop,
//! and [`Settings::handshake_timeout`] covers both. Where TLS is not ended properly, the connection is lost
//! ([`CloseCode::Abnormal`]), unless both Close frames were exchanged before.
//!
//! # Conformance
//!
//! The whole of RFC 6455, and of RFC 7692 with compression, in both roles, strictly: the Autobahn test suite passes without
//! an exception list. Where the code obeys a MUST, it names the section.
//!
//! # Portability
//!
//! Everything that `mio` supports: Linux, macOS, the BSDs, Windows. Unix domain sockets are for Unix alone. Without the
//! default features also WebAssembly, with `browser` in a browser.

#![cfg_attr(
    not(all(feature = "reactor", feature = "ssl", feature = "blocking", feature = "upgrade")),
    allow(rustdoc::broken_intra_doc_links, reason = "this page is also about what this build does without")
)]

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(all(feature = "browser", any(target_family = "wasm", sockeye_docs)))]
pub mod browser;
mod close;
mod compat;
#[cfg(all(feature = "reactor", feature = "permessage-deflate"))]
pub mod deflate;
mod error;
#[cfg(feature = "reactor")]
mod factory;
#[cfg(feature = "futures")]
pub mod futures;
#[cfg(feature = "reactor")]
mod handler;
#[cfg(feature = "reactor")]
mod handshake;
mod message;
pub mod protocol;
#[cfg(feature = "reactor")]
mod reactor;
#[cfg(feature = "reactor")]
mod sender;
#[cfg(feature = "reactor")]
mod settings;
#[cfg(any(
    feature = "blocking",
    feature = "futures",
    all(feature = "browser", any(target_family = "wasm", sockeye_docs))
))]
mod socket;
#[cfg(feature = "ssl")]
mod tcp_stream;
#[cfg(feature = "ssl")]
mod tls;
#[cfg(feature = "upgrade")]
pub mod upgrade;
#[cfg(feature = "reactor")]
pub mod util;

#[cfg(feature = "reactor")]
use std::borrow::Borrow;
#[cfg(feature = "reactor")]
use std::fmt::Debug;
#[cfg(feature = "reactor")]
use std::net::ToSocketAddrs;

pub use close::{CloseCode, Closed};
pub use error::{Error, ErrorKind, QueueError, Result};
#[cfg(feature = "reactor")]
pub use factory::Factory;
#[cfg(feature = "reactor")]
pub use handler::Handler;
#[cfg(feature = "reactor")]
pub use handshake::Handshake;
pub use message::Message;
pub use protocol::handshake::{Origins, Request, Response};
pub use protocol::{Deflate, Frame, OpCode};
#[cfg(feature = "reactor")]
pub use reactor::{Builder, WebSocket};
#[cfg(feature = "reactor")]
pub use sender::Sender;
#[cfg(feature = "reactor")]
pub use settings::{Overflow, Settings, TrustedProxies};
#[cfg(feature = "ssl")]
pub use tls::{ClientTls, ServerTls, TlsVersion};

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

/// The code of the README is tested like that of the documentation.
#[cfg(all(doctest, feature = "reactor"))]
#[doc = include_str!("../README.md")]
struct Readme;
