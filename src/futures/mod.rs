//! An async socket: one connection in whatever task uses it, over any stream, on any runtime.
//!
//! It needs the traits of `futures-io`, `futures-core` and `futures-sink` alone. The feature `tokio` adds what connects and
//! accepts by tokio, its time, and its traits. The rules, the limits and their defaults are those of
//! [`protocol::Config`](crate::protocol::Config), as everywhere.
//!
//! ```
//! # #[cfg(feature = "tokio")] mod with_tokio {
//! use sockeye::CloseCode;
//! use sockeye::futures::WebSocket;
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")] pub async fn run() -> sockeye::Result<()> {
//! // An echo server; each client has its task.
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(async move {
//!     while let Ok((stream, _)) = listener.accept().await {
//!         tokio::spawn(async move {
//!             let mut socket = WebSocket::accept(stream).await?;
//!             while let Some(message) = socket.receive().await? {
//!                 socket.send(message).await?;
//!             }
//!             sockeye::Result::Ok(())
//!         });
//!     }
//! });
//!
//! let mut socket = WebSocket::connect(&format!("ws://{address}/")).await?;
//! socket.send("salmon").await?;
//! assert_eq!(socket.receive().await?, Some("salmon".into()));
//! let closed = socket.close(CloseCode::Normal, "spawned").await?;
//! assert!(closed.was_clean);
//! # Ok(()) }
//! # }
//! # #[cfg(feature = "tokio")] with_tokio::run()?;
//! # sockeye::Result::Ok(())
//! ```
//!
//! Over a stream of one's own, whatever the runtime, there are [`Builder::client`] and [`Builder::server`], which show each
//! step of the opening handshake; [`WebSocket::upgraded`] is for a handshake that another HTTP server has made.
//!
//! # Which call is for what
//!
//! | | |
//! |---|---|
//! | whole messages | [`receive`](WebSocket::receive), [`receive_into`](WebSocket::receive_into), or the `Stream` |
//! | also Pings, Pongs, and the Close with its reason | [`receive_event`](WebSocket::receive_event) |
//! | single frames, fragments one by one | [`receive_frame`](WebSocket::receive_frame), [`send_frame`](WebSocket::send_frame) |
//! | no automatic answers | [`set_answers`](WebSocket::set_answers) |
//! | one message now; many in one piece | [`send`](WebSocket::send); [`queue`](WebSocket::queue) and [`flush`](WebSocket::flush), or the `Sink` |
//! | bytes, without regard to messages | `AsyncRead` and `AsyncWrite` |
//! | two tasks | [`split`](WebSocket::split), [`join`](WebSocket::join) |
//! | the end | [`close`](WebSocket::close), [`closed`](WebSocket::closed), [`abort`](WebSocket::abort) |
//!
//! # Futures can be dropped
//!
//! Every future of this module can be dropped wherever it waits, such as by a `select!` or a time-out, and begun again: no byte
//! and no message is lost by that. What was received waits in the socket, and a message that is sent has been accepted as a
//! whole by the first poll. Only who consumes the socket, such as [`Client::open`] does, gives it up with the future.
//!
//! # Who answers
//!
//! Whoever awaits anything drives both directions, so that Pings and the Close of the peer are answered by whichever half
//! is in use, even if that one only sends. Not more is read than one message that nobody has taken; the rest is left to
//! TCP, which holds the peer back. A program that awaits nothing does not keep its connection up.
//!
//! # Time-outs
//!
//! | | set by | default |
//! |---|---|---|
//! | connecting, each address | [`Builder::connect_timeout`] | 10 s |
//! | opening handshake | [`Config::handshake_timeout`] | 10 s |
//! | silence of the peer | [`Config::idle_timeout`], [`Config::ping_interval`] | none |
//! | closing handshake, and the end of the stream after it | [`Config::close_timeout`] | 10 s |
//!
//! They need a [`Timer`]. What tokio connects and accepts has one; for other streams it is set by [`Builder::timer`], and
//! without it a peer can keep one waiting.
//!
//! [`Config::handshake_timeout`]: crate::protocol::Config::handshake_timeout
//! [`Config::idle_timeout`]: crate::protocol::Config::idle_timeout
//! [`Config::ping_interval`]: crate::protocol::Config::ping_interval
//! [`Config::close_timeout`]: crate::protocol::Config::close_timeout

mod builder;
mod client;
mod engine;
mod halves;
mod inbox;
mod link;
mod output;
mod server;
mod socket;
#[cfg(feature = "tokio")]
mod stream;
mod streams;
mod timer;
#[cfg(feature = "ssl")]
mod tls;
#[cfg(feature = "tokio")]
mod tokio_compat;
#[cfg(all(feature = "tokio", feature = "ssl"))]
mod tokio_tls;
#[cfg(all(feature = "tokio", not(feature = "ssl")))]
#[path = "no_tls.rs"]
mod tokio_tls;

use futures_io::{AsyncRead, AsyncWrite};

pub use self::builder::Builder;
pub use self::client::{Answer, Client};
pub use self::halves::{Ended, Receiver, Sender};
pub use self::server::Server;
pub use self::socket::{JoinError, WebSocket};
#[cfg(feature = "tokio")]
pub use self::stream::Socket;
pub use self::timer::{Sleep, Timer};
#[cfg(feature = "ssl")]
pub use self::tls::Tls;
#[cfg(feature = "tokio")]
pub use self::tokio_compat::Compat;
#[cfg(all(feature = "tokio", not(feature = "ssl")))]
pub use self::tokio_tls::Tls;

/// What a socket speaks through: any stream that reads and writes.
///
/// It is implemented for all that are; nobody need implement it.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin + ?Sized> Transport for S {}
