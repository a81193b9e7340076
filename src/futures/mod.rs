//! An async WebSocket, on any stream and any runtime.
//!
//! It needs only the traits of `futures-io`, `futures-core` and `futures-sink`. The feature `tokio` adds `connect`, `accept`,
//! timeouts, and the I/O traits of tokio. The protocol core checks everything that RFC 6455 requires;
//! [`protocol::Config`](crate::protocol::Config) contains the limits and their defaults.
//!
//! ```
//! # #[cfg(feature = "tokio")] mod with_tokio {
//! use sockeye::CloseCode;
//! use sockeye::futures::{Result, WebSocket};
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")] pub async fn run() -> Result<()> {
//! // An echo server with a task for each client.
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(async move {
//!     while let Ok((stream, _)) = listener.accept().await {
//!         tokio::spawn(async move {
//!             let mut socket = WebSocket::accept(stream).await?;
//!             while let Some(message) = socket.receive().await? {
//!                 socket.send(message).await?;
//!             }
//!             Result::Ok(())
//!         });
//!     }
//! });
//!
//! let mut socket = WebSocket::connect(&format!("ws://{address}/")).await?;
//! socket.send("salmon").await?;
//! assert_eq!(socket.receive().await?, Some("salmon".into()));
//! let closed = socket.close(CloseCode::Normal, "done").await?;
//! assert!(closed.was_clean);
//! # Ok(()) }
//! # }
//! # #[cfg(feature = "tokio")] with_tokio::run()?;
//! # sockeye::futures::Result::Ok(())
//! ```
//!
//! # Choosing a method
//!
//! | to | use |
//! |---|---|
//! | open a connection with tokio | `WebSocket::connect`, `WebSocket::accept`, or a [`Builder`] with options |
//! | open one again whenever it is lost | `Builder::connect_with`, [`Reconnecting`] |
//! | open one on your own stream, step by step | [`Builder::client`], [`Builder::server`] |
//! | continue after a handshake of another server | [`WebSocket::upgraded`] |
//! | receive messages | [`receive`](WebSocket::receive), [`receive_into`](WebSocket::receive_into), or the `Stream` |
//! | also receive Pings, Pongs and the Close | [`receive_event`](WebSocket::receive_event) |
//! | receive and send single frames | [`receive_frame`](WebSocket::receive_frame), [`send_frame`](WebSocket::send_frame) |
//! | reply to Pings and the Close yourself | [`set_reply_mode`](WebSocket::set_reply_mode) |
//! | send one message | [`send`](WebSocket::send) |
//! | send many small messages at once | [`queue`](WebSocket::queue) and [`flush`](WebSocket::flush), or the `Sink` |
//! | transfer bytes | `AsyncRead` and `AsyncWrite` |
//! | receive and send in two tasks | [`split`](WebSocket::split), [`join`](WebSocket::join) |
//! | end the connection, or await its end | [`close`](WebSocket::close), [`abort`](WebSocket::abort), [`closed`](WebSocket::closed) |
//!
//! # Futures can be dropped
//!
//! Every future of this module can be dropped while it waits, for instance by `select!` or a timeout, and started again. No
//! byte and no message is lost: input stays in the socket, and the first poll of `send` accepts the whole message. Only a
//! method that consumes the socket, such as [`Client::open`], drops the connection with its future.
//!
//! # Answers and backpressure
//!
//! Each poll drives both directions. Whichever half is in use, it answers Pings and the Close of the peer, even if it only
//! sends. At most one message is read before the program receives it. The rest is left to TCP, which slows down the peer.
//!
//! # Other tasks
//!
//! A peer that floods does not keep a task from its executor, on any runtime. A half of a connection that does not have to wait
//! returns `Pending` once, and wakes its task, when it has made 128 steps or has processed or written 256 KiB. A step is a read, a
//! message, a control frame, 16 fragments, or a call that sends. What is in progress is completed: one read of up to 128 KiB, one
//! message, and one write to the stream. A compressed message of more than 64 KiB is decompressed in parts of up to 256 KiB, and
//! the socket returns `Pending` after each of them, unless the program receives frames.
//!
//! # Memory
//!
//! A socket that waits owns no buffers: it returns them to the thread, which keeps them for the next socket. On a plain stream it
//! then needs less than 1 KiB, a handshake with few headers included. A program that asks for the
//! [request](WebSocket::request) or the [response](WebSocket::response) needs memory for the parsed heads from then on.
//!
//! # Connecting again
//!
//! A [`Reconnecting`] client connects again when its connection is lost. Its handles queue messages meanwhile.
//!
//! # Timeouts
//!
//! | limits | set with | default | error |
//! |---|---|---|---|
//! | connecting to each address | [`Builder::connect_timeout`] | 10 seconds | [`Connect`](TimeoutKind::Connect) |
//! | TLS and the opening handshake together | [`Config::handshake_timeout`] | 10 seconds | [`Handshake`](TimeoutKind::Handshake) |
//! | silence of the peer | [`Config::idle_timeout`], [`Config::ping_interval`] | no limit | [`Idle`](TimeoutKind::Idle) |
//! | the closing handshake | [`Config::close_timeout`] | 10 seconds | none: [`was_clean`](crate::Closed::was_clean) is false |
//!
//! They need a [`Timer`]. Sockets that tokio connects and accepts have one. On other streams, [`Builder::timer`] sets it;
//! without it a peer can keep the program waiting forever.
//!
//! The limits apply while the program awaits any future of the socket. If a timeout expires in `send`, because the peer does not
//! read, `send` returns `ConnectionLost`, and `receive` returns the timeout. A peer that sends something from time to time and
//! does not read is not silent: limit the duration of `send` with a timeout of the runtime.
//!
//! While a program awaits nothing of the socket, no Ping is sent or answered, and no timeout ends the connection. The next
//! call does what is due. It reads first, so that a peer that has sent something in time is not late because the program is.
//! A task that awaits [`closed`](WebSocket::closed) keeps the connection alive, until a message waits that nobody receives.
//!
//! [`Config::handshake_timeout`]: crate::protocol::Config::handshake_timeout
//! [`Config::idle_timeout`]: crate::protocol::Config::idle_timeout
//! [`Config::ping_interval`]: crate::protocol::Config::ping_interval
//! [`Config::close_timeout`]: crate::protocol::Config::close_timeout

mod budget;
mod builder;
mod client;
mod engine;
mod halves;
mod item_queue;
mod link;
mod output;
mod reconnecting;
mod reconnecting_sender;
mod reconnecting_state;
mod server;
mod socket;
#[cfg(all(feature = "tokio", not(all(target_family = "wasm", target_os = "unknown"))))]
mod stream;
mod streams;
mod timer;
mod tls;
#[cfg(all(feature = "tokio", not(all(target_family = "wasm", target_os = "unknown"))))]
mod tokio_compat;
#[cfg(all(feature = "tokio", not(all(target_family = "wasm", target_os = "unknown"))))]
mod tokio_connect;
#[cfg(all(feature = "tokio", not(all(target_family = "wasm", target_os = "unknown"))))]
mod tokio_tls;

use futures_io::{AsyncRead, AsyncWrite};

pub use self::builder::Builder;
pub use self::client::Client;
pub use self::halves::{Ended, Receiver, Sender};
pub use self::reconnecting::Reconnecting;
pub use self::reconnecting_sender::ReconnectingSender;
pub use self::server::Server;
pub use self::socket::{JoinError, WebSocket};
#[cfg(all(feature = "tokio", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use self::stream::Socket;
pub use self::timer::{Sleep, Timer};
pub use self::tls::Tls;
#[cfg(all(feature = "tokio", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use self::tokio_compat::Compat;
pub use crate::socket::{Answer, Error, InvalidUrl, ReconnectEvent, ReplyMode, Result, TimeoutKind};

/// A stream that reads and writes: the stream of a socket.
///
/// Every type with these traits implements it.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin + ?Sized> Transport for S {}
