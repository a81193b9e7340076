//! The WebSocket of the browser, for programs that are compiled to WebAssembly.
//!
//! This module exists only on WebAssembly targets, such as `wasm32-unknown-unknown`, with
//! `default-features = false, features = ["browser"]`: a browser has no threads and no TCP, and so no event loop of this
//! crate. The program runs in a window or in a worker, or in another environment with a `WebSocket`, such as Node. The names
//! are those of `sockeye::futures`. [`ClientSocket`](crate::ClientSocket) is the socket of either module, so that one program
//! can be compiled for both.
//!
//! ```no_run
//! use sockeye::CloseCode;
//! use sockeye::browser::WebSocket;
//!
//! # async fn run() -> sockeye::browser::Result<()> {
//! let mut socket = WebSocket::connect("ws://127.0.0.1:3012").await?;
//! socket.send("salmon").await?;
//! while let Some(message) = socket.receive().await? {
//!     if message.as_text()? == "enough" {
//!         break;
//!     }
//! }
//! let closed = socket.close(CloseCode::Normal, "done").await?;
//! assert!(closed.was_clean);
//! # Ok(()) }
//! ```
//!
//! # Choosing a method
//!
//! | to | use |
//! |---|---|
//! | open a connection | [`WebSocket::connect`], or a [`Builder`] with options |
//! | receive messages | [`receive`](WebSocket::receive), [`receive_into`](WebSocket::receive_into), or the `Stream` |
//! | also receive the Close with its reason | [`receive_event`](WebSocket::receive_event) |
//! | send one message | [`send`](WebSocket::send) |
//! | send many messages, and wait only now and then | [`queue`](WebSocket::queue) and [`flush`](WebSocket::flush), or the `Sink` |
//! | transfer bytes | `AsyncRead` and `AsyncWrite` |
//! | receive and send in two tasks | [`split`](WebSocket::split), [`join`](WebSocket::join) |
//! | end the connection, or await its end | [`close`](WebSocket::close), [`abort`](WebSocket::abort), [`closed`](WebSocket::closed) |
//!
//! Every future can be dropped while it waits, and started again. No byte and no message is lost.
//!
//! # The two interfaces of the browser
//!
//! | | [`Interface::Standard`] (default) | [`Interface::Stream`] |
//! |---|---|---|
//! | exists | in every browser | in Chromium since version 124 |
//! | if the connection is lost while a message waits to be sent | an error is returned | **the page crashes** in Chromium 156 |
//! | if the program does not receive | messages wait, up to [`max_received`](Builder::max_received) | the peer is slowed down; one message waits |
//! | if the peer does not receive | `send` polls the number of unsent bytes | `send` waits for a promise of the browser |
//! | the Close of the peer is visible | immediately; messages before it can still be received | after all messages before it were received |
//!
//! The page crashes whatever it does with the stream: [`Interface::Stream`] describes when. It is therefore used only if the
//! program selects it with [`Builder::interface`].
//!
//! # Differences from `sockeye::futures`
//!
//! - The types have no parameter for the stream, and none is `Send`: JavaScript values belong to their thread.
//! - There are no servers and single frames. The browser answers Pings, compresses, masks, and checks input.
//!   [`url`](WebSocket::url), [`extensions`](WebSocket::extensions) and [`interface`](WebSocket::interface) exist only here.
//! - Some methods exist only so that one program compiles for both targets. [Below](#what-a-browser-cannot-do) is what they do.
//! - A program may close only with 1000, with 3000 to 4999, or without a code. Beyond a limit the peer therefore receives 4009
//!   instead of 1009. If it was silent for too long, or the socket is dropped, it receives no code.
//! - Only some settings of [`Config`](crate::protocol::Config) apply: see [`Builder::config`]. The idle timeout counts only
//!   messages, because Pings and Pongs are not visible.
//! - The browser keeps a connection alive even if the program polls nothing.
//! - `queue` and the `Sink` wait beyond 1 MiB instead of 64 KiB: see [`Builder::high_water`].

//!
//! # What a browser cannot do
//!
//! These methods have the signatures of `sockeye::futures`. Where leaving something out could be unsafe, they are an error.
//!
//! | method | in a browser |
//! |---|---|
//! | [`Builder::add_header`] | `connect` returns an error; `Origin` and `User-Agent` are those of the browser |
//! | [`Builder::client_tls`] with options | `connect` to an encrypted URL returns an error |
//! | [`Builder::extension`] | no effect, as if the server had not accepted the extension |
//! | [`ping`](WebSocket::ping), [`pong`](WebSocket::pong) | return an error; the connection stays open |
//! | [`request`](WebSocket::request), [`response`](WebSocket::response) | return `None` |
//!
//! The errors are [`Error::Io`] with [`Unsupported`](std::io::ErrorKind::Unsupported). To treat the targets differently, use
//! `if cfg!(target_family = "wasm")`: the [example](Builder::add_header) compiles for both.

mod backend;
mod builder;
mod client_tls;
mod halves;
mod interface;
mod js;
mod limits;
mod link;
mod message_queue;
mod socket;
mod standard;
mod state;
mod streaming;
mod streams;
mod timeouts;
mod timer;
mod unsupported;

pub use self::builder::Builder;
pub use self::client_tls::{ClientTls, ClientTlsBuilder, TlsVersion};
pub use self::halves::{Ended, Receiver, Sender};
pub use self::interface::Interface;
pub use self::socket::{JoinError, WebSocket};
pub use crate::socket::{Error, InvalidUrl, Result, TimeoutKind};
