//! Event-driven WebSockets: you implement [`Handler`], and an event loop on a single thread calls it.
//!
//! ```no_run
//! use sockeye::{Message, Sender, listen};
//!
//! // An echo server. Browsers and all other WebSocket clients can connect to it.
//! listen("127.0.0.1:3012", |out: Sender| {
//!     move |msg: Message| {
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
//!   TCP ---->|  connection 2:  socket  protocol  your Handler --|--|   on_close, on_timeout, ...
//!            |  ...                                             |  |
//!            |  listeners, timeouts, one buffer for all reads   |  |
//!            +-------------------------^------------------------+  |
//!                                      |  queue of commands        |
//!                                      '------ Sender, Sender, ... <--- and any other thread
//! ```
//!
//! - A [`Factory`], usually a closure, creates a [`Handler`] for each connection and receives a [`Sender`] for it.
//! - The loop calls the handlers one at a time. They need no locks, and neither `Send` nor `'static`. A handler must not
//!   block, because all other connections of the loop wait for it.
//! - A [`Sender`] queues commands for its connection: messages, Pings, timeouts, the close. It can be cloned and used from
//!   any thread. Commands take effect after the handler has returned.
//! - A loop has any number of listeners and of client connections. Handlers are the same in both roles.
//! - [`Settings`] contains the limits and timeouts. The defaults suit a server on the Internet: no input of a peer causes
//!   a panic, blocks the loop, or makes a connection grow without limit.
//!
//! [`listen`] and [`connect`] are shortcuts. [`WebSocket`], which is also exported as [`EventLoop`], and [`Builder`] offer
//! everything else.
//!
//! # Other sockets
//!
//! | module | for | feature |
//! |---|---|---|
//! | [`blocking`] | a thread for each connection, or a small client | `blocking` |
//! | `futures` | an async program, on any runtime | `futures`, `tokio` |
//! | [`upgrade`] | an existing HTTP server such as `axum` or `hyper` | `upgrade`, `axum`, `hyper` and others |
//! | `browser` | a program in the browser | `browser` |
//! | [`protocol`] | your own event loop or transport: RFC 6455 without I/O | none |
//!
//! All of them except the browser's use the protocol core, and have its checks and limits. The sockets return a typed error,
//! such as [`blocking::Error`].
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `reactor` | yes | the event loop: everything except [`protocol`] and the types that it uses |
//! | `rustls` | no | TLS with rustls: `wss://` URLs, [`WebSocket::with_server_tls`] |
//! | `ssl` | no | the same with the system's OpenSSL, and the TLS hooks of `ws` |
//! | `ssl-vendored` | no | the same with an OpenSSL that is compiled during the build |
//! | `permessage-deflate` | no | compression (RFC 7692): [`Settings::deflate`], or `deflate::DeflateHandler` as in `ws` |
//! | `metrics` | no | [`Stats`] for the crate `metrics` |
//! | `blocking` | no | a blocking socket |
//! | `futures` | no | an async socket over any stream of `futures-io` |
//! | `tokio` | no | the async socket with `connect`, `accept` and timeouts; with TLS if `rustls` or `ssl` is enabled |
//! | `upgrade` | no | upgrades of requests that another HTTP server has read, over HTTP/1.1 and HTTP/2, and requests of other HTTP clients |
//! | `axum`, `hyper`, `h2`, `rouille`, `tiny_http` | no | one function for each of these HTTP libraries |
//! | `bytes` | no | messages from the type `Bytes` of the crate `bytes` |
//! | `systemd` | no | `WebSocket::bind_systemd` for socket activation, and the module `systemd` for notifications; on Unix |
//! | `signals` | no | `signals::Signals`, with which `SIGTERM` and Ctrl-C drain the event loop (Unix) |
//! | `testing` | no | the module `testing`, an event loop in memory for the tests of handlers |
//! | `browser` | no | the browser's own WebSocket, on WebAssembly targets and without the default features |
//!
//! Without any feature only the [protocol core](protocol) is built. Only `ssl` needs a C library, and only `rustls` and
//! `ssl-vendored` need a C compiler.
//!
//! # TLS
//!
//! With the feature `rustls` or `ssl`, clients connect to `wss://` URLs without configuration. The certificate of the server is verified
//! with the trust roots of the system, for the host of the URL, which can be a name or an IP address.
//! [`WebSocket::with_client_tls`] selects other roots or a client certificate. A server receives its certificate with
//! [`WebSocket::with_server_tls`]. [`ServerTls::replace`] changes it while the server runs.
//!
//! TLS 1.2 and 1.3 are supported, with ALPN `http/1.1` and without renegotiation. The TLS handshake is part of the opening
//! handshake: it does not block the loop, and [`Settings::handshake_timeout`] covers both. A connection whose TLS session
//! is cut off is lost ([`CloseCode::Abnormal`]), unless both Close frames have been exchanged.
//!
//! # Conformance
//!
//! RFC 6455 and, with compression, RFC 7692 are implemented completely, in both roles. On connections of HTTP/2 that another library
//! has opened, RFC 8441 applies. All cases of the Autobahn test suite
//! pass under strict evaluation. Where the code implements a MUST, it names the section.
//!
//! # Platforms
//!
//! The event loop supports all platforms of `mio`: Linux, macOS, the BSDs and Windows. Unix domain sockets are available on
//! Unix. The protocol core and `browser` also support WebAssembly.
//!
//! # Migrating from `ws`
//!
//! Programs for `ws` 0.9 compile after a change of one line in `Cargo.toml`:
//! `ws = { package = "sockeye", version = "0.1" }`. The page `MIGRATING.md` of this package lists all differences.

#![cfg_attr(
    docsrs,
    feature(doc_cfg),
    doc(auto_cfg(hide(sockeye_docs, target_family = "wasm", target_os = "unknown")))
)]
#![cfg_attr(
    not(all(feature = "reactor", feature = "ssl", feature = "blocking", feature = "upgrade")),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "this page also describes features that are not enabled"
    )
)]
#![cfg_attr(
    all(
        target_family = "wasm",
        target_os = "unknown",
        any(
            feature = "reactor",
            feature = "blocking",
            feature = "tokio",
            feature = "rustls",
            feature = "ssl"
        )
    ),
    allow(unused, reason = "the only message must be the instruction below")
)]

// A browser has neither sockets nor threads that may block. The items of these features do not exist there, so that the
// compiler reports this instruction and nothing else.
#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "reactor"))]
compile_error!(
    "the feature `reactor` of sockeye, which is on by default, cannot be used on this target, because a browser has no \
     sockets; in Cargo.toml write: sockeye = { version = \"0.1\", default-features = false, features = [\"browser\"] }"
);
#[cfg(all(feature = "signals", not(unix), not(all(target_family = "wasm", target_os = "unknown"))))]
compile_error!(
    "the feature `signals` of sockeye cannot be used on this target, because only Unix has signals; end the loop with \
     `Sender::drain` instead"
);
#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "blocking"))]
compile_error!(
    "the feature `blocking` of sockeye cannot be used on this target, because a program in a browser must not block; use \
     the feature `browser` instead"
);
#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "tokio"))]
compile_error!(
    "the feature `tokio` of sockeye cannot be used on this target, because a browser has no sockets; use the feature \
     `browser` instead"
);
#[cfg(all(target_family = "wasm", target_os = "unknown", any(feature = "rustls", feature = "ssl")))]
compile_error!(
    "the features `rustls` and `ssl` of sockeye cannot be used on this target; they are not needed, because the browser \
     encrypts the connections of the feature `browser`"
);

#[cfg(all(
    any(feature = "axum", feature = "h2", feature = "hyper", feature = "rouille", feature = "tiny_http"),
    not(target_family = "wasm")
))]
mod adapters;
#[cfg(all(feature = "blocking", not(all(target_family = "wasm", target_os = "unknown"))))]
pub mod blocking;
#[cfg(all(
    feature = "browser",
    any(target_family = "wasm", sockeye_docs),
    not(all(target_family = "wasm", target_os = "unknown", any(feature = "rustls", feature = "ssl")))
))]
pub mod browser;
#[cfg(any(
    feature = "reactor",
    feature = "blocking",
    feature = "futures",
    feature = "rustls",
    feature = "ssl"
))]
#[cfg_attr(
    not(all(feature = "reactor", feature = "blocking", feature = "ssl")),
    allow(dead_code, reason = "each front end and each engine uses a part")
)]
mod byte_queue;
mod close;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub mod cluster;
mod compat;
#[cfg(all(
    any(
        feature = "reactor",
        feature = "blocking",
        feature = "futures",
        all(feature = "browser", any(target_family = "wasm", sockeye_docs))
    ),
    not(all(target_family = "wasm", target_os = "unknown", any(feature = "rustls", feature = "ssl")))
))]
#[cfg_attr(
    not(all(feature = "reactor", feature = "blocking", feature = "tokio")),
    allow(dead_code, unreachable_pub, reason = "each front end uses a part")
)]
mod connecting;
mod error;
#[cfg(all(
    feature = "futures",
    not(all(target_family = "wasm", target_os = "unknown", any(feature = "rustls", feature = "ssl")))
))]
pub mod futures;
#[cfg(all(fuzzing, feature = "reactor", any(feature = "rustls", feature = "ssl")))]
#[doc(hidden)]
pub mod fuzzing;
mod message;
pub mod protocol;
#[cfg(test)]
mod random_inputs;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
mod reactor;
#[cfg(all(
    any(
        feature = "blocking",
        feature = "futures",
        all(feature = "browser", any(target_family = "wasm", sockeye_docs))
    ),
    not(all(target_family = "wasm", target_os = "unknown", any(feature = "rustls", feature = "ssl")))
))]
pub mod socket;
#[cfg(all(feature = "systemd", unix))]
pub mod systemd;
#[cfg(all(feature = "ssl", not(all(target_family = "wasm", target_os = "unknown"))))]
mod tcp_stream;
#[cfg(all(
    any(feature = "reactor", feature = "blocking", feature = "futures", feature = "rustls", feature = "ssl"),
    not(all(target_family = "wasm", target_os = "unknown", any(feature = "rustls", feature = "ssl")))
))]
#[cfg_attr(
    not(all(
        feature = "reactor",
        feature = "blocking",
        feature = "tokio",
        feature = "rustls",
        feature = "ssl"
    )),
    allow(dead_code, reason = "each front end and each engine uses a part")
)]
mod tls;
#[cfg(feature = "upgrade")]
pub mod upgrade;

#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
use std::borrow::Borrow;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
use std::fmt::Debug;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
use std::net::ToSocketAddrs;

#[cfg(all(feature = "axum", not(target_family = "wasm")))]
pub use adapters::axum;
#[cfg(all(feature = "h2", not(target_family = "wasm")))]
pub use adapters::h2;
#[cfg(all(feature = "hyper", not(target_family = "wasm")))]
pub use adapters::hyper;
#[cfg(all(feature = "rouille", not(target_family = "wasm")))]
pub use adapters::rouille;
#[cfg(all(feature = "tiny_http", not(target_family = "wasm")))]
pub use adapters::tiny_http;
#[cfg(all(feature = "browser", target_family = "wasm", not(any(feature = "rustls", feature = "ssl"))))]
pub use browser::{ClientTls, ClientTlsBuilder, TlsVersion};
pub use close::{CloseCode, Closed};
#[cfg(all(
    any(feature = "reactor", feature = "blocking", feature = "tokio"),
    not(all(target_family = "wasm", target_os = "unknown"))
))]
pub use connecting::proxy::Proxy;
#[cfg(all(
    any(
        feature = "reactor",
        feature = "blocking",
        feature = "futures",
        all(feature = "browser", any(target_family = "wasm", sockeye_docs))
    ),
    not(all(target_family = "wasm", target_os = "unknown", any(feature = "rustls", feature = "ssl")))
))]
pub use connecting::proxy::{ProxyError, ProxyFailure};
#[cfg(all(
    any(feature = "reactor", feature = "blocking", feature = "futures"),
    not(all(target_family = "wasm", target_os = "unknown", any(feature = "rustls", feature = "ssl")))
))]
pub use connecting::reconnect::{Lost, Reconnect};
pub use error::{Error, ErrorKind, QueueError, Result};
pub use message::Message;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use protocol::MessageRef;
pub use protocol::handshake::{Origins, Request, Response, secrets_match};
pub use protocol::{Deflate, Frame, OpCode, SharedMessage};
/// Another name of [`WebSocket`], the event loop. `ws` gave the loop the name of its connections.
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
#[doc(no_inline)]
pub use reactor::WebSocket as EventLoop;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::deferred::DeferredResponse;
#[cfg(all(
    feature = "reactor",
    feature = "permessage-deflate",
    not(all(target_family = "wasm", target_os = "unknown"))
))]
pub use reactor::api::deflate_handler as deflate;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::drain::Drain;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::factory::Factory;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::handler::Handler;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::handler_fn::{HandlerFn, handler_fn};
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::handshake::Handshake;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::health::{Health, LoopStatus};
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::publication::Publication;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::reply::Reply;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::sender::Sender;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::settings::{Overflow, Settings, TrustedProxies};
#[cfg(all(feature = "signals", unix))]
pub use reactor::api::signals;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::stats::Stats;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::api::util;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::pool::{Pool, Worker, Workers};
#[cfg(all(feature = "testing", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::testing;
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use reactor::{Builder, WebSocket};
#[cfg(all(
    any(feature = "rustls", feature = "ssl"),
    not(all(target_family = "wasm", target_os = "unknown"))
))]
pub use tls::{ClientTls, ClientTlsBuilder, ServerTls, ServerTlsBuilder, TlsEngine, TlsVersion};

#[cfg(feature = "upgrade")]
pub use http;
#[cfg(all(feature = "ssl", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use openssl;
#[cfg(all(feature = "rustls", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use rustls;
pub use url;

/// The async client socket of the target: that of `futures` with tokio on native targets, that of `browser` on WebAssembly.
///
/// One program can be compiled for both. What a browser cannot do, such as Pings, is an error there.
/// [`ClientBuilder`] has their options, and [`socket::Error`] is their error.
///
/// # Examples
///
/// ```no_run
/// use sockeye::ClientSocket;
///
/// async fn greet(url: &str) -> sockeye::socket::Result<()> {
///     let mut socket = ClientSocket::connect(url).await?;
///     socket.send("hello").await
/// }
/// ```
#[cfg(all(feature = "tokio", not(target_family = "wasm")))]
pub type ClientSocket = futures::WebSocket<futures::Socket>;

/// The async client socket of the target: that of `futures` with tokio on native targets, that of `browser` on WebAssembly.
#[cfg(all(feature = "browser", target_family = "wasm"))]
pub type ClientSocket = browser::WebSocket;

/// The options of a [`ClientSocket`]: the builder of `futures` on native targets, that of `browser` on WebAssembly.
///
/// Both have `add_header` and `client_tls`. A browser cannot send custom headers and has its own TLS configuration, so `connect`
/// returns an error there instead of leaving something out. `if cfg!(target_family = "wasm")` treats the targets differently.
#[cfg(all(feature = "tokio", not(target_family = "wasm")))]
pub type ClientBuilder = futures::Builder;

/// The options of a [`ClientSocket`]: the builder of `futures` on native targets, that of `browser` on WebAssembly.
///
/// Both have `add_header` and `client_tls`. A browser cannot send custom headers and has its own TLS configuration, so `connect`
/// returns an error there instead of leaving something out. `if cfg!(target_family = "wasm")` treats the targets differently.
#[cfg(all(feature = "browser", target_family = "wasm"))]
pub type ClientBuilder = browser::Builder;

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
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub fn listen<A, F, H>(addr: A, factory: F) -> Result<()>
where
    A: ToSocketAddrs + Debug,
    F: FnMut(Sender) -> H,
    H: Handler,
{
    let name = format!("{addr:?}");
    WebSocket::new(factory)?.bind_named(&addr, &name)?.run().map(drop)
}

/// Runs a server on a Unix domain socket, with the default [`Settings`], until it is shut down.
///
/// # Errors
///
/// `Io` if the path exists already or cannot be bound, or waiting for events fails.
///
/// # Examples
///
/// ```no_run
/// sockeye::listen_unix("/run/chat.sock", |out| move |msg| out.send(msg))?;
/// # sockeye::Result::Ok(())
/// ```
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
/// `Internal` if the URL cannot be parsed. If the connection never opened, the error that the handler's `on_error`
/// received as well.
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
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub fn connect<U, F, H>(url: U, factory: F) -> Result<()>
where
    U: Borrow<str>,
    F: FnMut(Sender) -> H,
    H: Handler,
{
    let url = parse(url.borrow())?;
    let mut socket = WebSocket::new(factory)?;
    socket.connect(url)?;
    socket.run()?.into_outcome().map_or(Ok(()), |outcome| outcome.map(drop))
}

/// Runs a client, with the default [`Settings`], until it stops. It connects again when its connection is lost.
///
/// Returns how the last connection has ended. [`Reconnect`] describes when the client connects again and when it stops, and
/// [`Handler::on_lost`] what happens in between.
///
/// # Errors
///
/// `Internal` if the URL cannot be parsed. If the last attempt to connect has failed, the error that the handler's `on_error` received as
/// well.
///
/// # Examples
///
/// ```no_run
/// use sockeye::Reconnect;
///
/// let closed = sockeye::connect_with("ws://127.0.0.1:3012", Reconnect::default(), |out| {
///     move |msg| {
///         println!("received {msg}");
///         out.send("next")
///     }
/// })?;
/// println!("the server does not want this client any more: {}", closed.reason);
/// # sockeye::Result::Ok(())
/// ```
#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
pub fn connect_with<U, F, H>(url: U, reconnect: Reconnect, factory: F) -> Result<Closed>
where
    U: Borrow<str>,
    F: FnMut(Sender) -> H,
    H: Handler,
{
    let url = parse(url.borrow())?;
    let mut socket = WebSocket::new(factory)?;
    socket.connect_with(url, reconnect)?;
    // Without an outcome, the handler has panicked or has shut down the loop.
    socket.run()?.into_outcome().unwrap_or_else(|| Ok(Closed::new(CloseCode::Abnormal, "")))
}

#[cfg(all(feature = "reactor", not(all(target_family = "wasm", target_os = "unknown"))))]
fn parse(url: &str) -> Result<url::Url> {
    url::Url::parse(url).map_err(|err| {
        Error::new(ErrorKind::Internal, format!("cannot parse the URL {:?}: {err}", error::redacted(url)))
    })
}

/// Tests the code of the pages like that of the documentation.
#[cfg(all(doctest, feature = "reactor"))]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../MIGRATING.md")]
    struct Migrating;

    #[doc = include_str!("../SECURITY.md")]
    struct Security;

    #[cfg(all(feature = "blocking", feature = "tokio", feature = "upgrade"))]
    #[doc = include_str!("../docs/features.md")]
    struct Features;

    #[doc = include_str!("../docs/README.md")]
    struct Guide;

    #[doc = include_str!("../docs/tutorial/echo.md")]
    struct TutorialEcho;

    #[doc = include_str!("../docs/tutorial/rooms.md")]
    struct TutorialRooms;

    #[cfg(all(feature = "signals", unix))]
    #[doc = include_str!("../docs/tutorial/deployment.md")]
    struct TutorialDeployment;

    #[cfg(all(feature = "signals", unix))]
    #[doc = include_str!("../docs/programs.md")]
    struct Programs;

    #[doc = include_str!("../docs/backpressure.md")]
    struct Backpressure;

    #[doc = include_str!("../docs/security.md")]
    struct SecureSettings;

    #[doc = include_str!("../docs/migration/ws.md")]
    struct FromWs;

    #[cfg(feature = "blocking")]
    #[doc = include_str!("../docs/migration/tungstenite.md")]
    struct FromTungstenite;

    #[doc = include_str!("../docs/migration/socket-io.md")]
    struct FromSocketIo;

    #[doc = include_str!("../docs/migration/uwebsockets.md")]
    struct FromUWebSockets;

    #[doc = include_str!("../docs/authentication.md")]
    struct Authentication;

    #[doc = include_str!("../docs/limits.md")]
    struct Limits;

    #[doc = include_str!("../docs/monitoring.md")]
    struct Monitoring;

    #[doc = include_str!("../docs/cores.md")]
    struct Cores;

    #[cfg(feature = "redis")]
    #[doc = include_str!("../docs/machines.md")]
    struct Machines;

    #[cfg(all(feature = "blocking", feature = "tokio"))]
    #[doc = include_str!("../docs/reconnecting.md")]
    struct Reconnecting;

    #[doc = include_str!("../docs/topics.md")]
    struct Topics;

    #[cfg(feature = "testing")]
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;

    #[cfg(all(feature = "signals", unix))]
    #[doc = include_str!("../docs/production.md")]
    struct Production;

    #[cfg(feature = "permessage-deflate")]
    #[doc = include_str!("../docs/compression.md")]
    struct Compression;

    #[cfg(any(feature = "rustls", feature = "ssl"))]
    #[doc = include_str!("../docs/tls.md")]
    struct Tls;

    #[cfg(all(feature = "blocking", feature = "tokio"))]
    #[doc = include_str!("../docs/proxies.md")]
    struct Proxies;
}
