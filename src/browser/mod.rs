//! The WebSocket of the browser, for programs that are compiled to WebAssembly and run in one.
//!
//! It is there on the targets of WebAssembly only, such as `wasm32-unknown-unknown`, with
//! `default-features = false, features = ["browser"]`: there are no threads and no TCP in a browser, and so no event loop.
//! The program runs in a window or in a worker; it also runs in what else has a `WebSocket`, such as Node. The names
//! are those of `sockeye::futures`, so that one program can be compiled for both.
//!
//! ```no_run
//! use sockeye::CloseCode;
//! use sockeye::browser::WebSocket;
//!
//! # async fn run() -> sockeye::Result<()> {
//! let mut socket = WebSocket::connect("ws://127.0.0.1:3012").await?;
//! socket.send("salmon").await?;
//! while let Some(message) = socket.receive().await? {
//!     if message.as_text()? == "enough" {
//!         break;
//!     }
//! }
//! let closed = socket.close(CloseCode::Normal, "spawned").await?;
//! assert!(closed.was_clean);
//! # Ok(()) }
//! ```
//!
//! # Which call is for what
//!
//! | | |
//! |---|---|
//! | whole messages | [`receive`](WebSocket::receive), [`receive_into`](WebSocket::receive_into), or the `Stream` |
//! | also the Close with its reason | [`receive_event`](WebSocket::receive_event) |
//! | one message now; many, with a wait now and then | [`send`](WebSocket::send); [`queue`](WebSocket::queue) and [`flush`](WebSocket::flush), or the `Sink` |
//! | bytes, without regard to messages | `AsyncRead` and `AsyncWrite` |
//! | two tasks | [`split`](WebSocket::split), [`join`](WebSocket::join) |
//! | the end | [`close`](WebSocket::close), [`closed`](WebSocket::closed), [`abort`](WebSocket::abort) |
//!
//! Every future can be dropped wherever it waits, and begun again: no byte and no message is lost by that.
//!
//! # The two interfaces of the browser
//!
//! | | [`Interface::Stream`] | [`Interface::Standard`] |
//! |---|---|---|
//! | is there | in Chromium, from 124 on | everywhere |
//! | the program does not receive | the peer is held back; one message waits | messages wait, up to [`max_received`](Builder::max_received) |
//! | the peer does not receive | `send` waits for the browser, which tells | `send` looks how much waits, again and again |
//! | the peer closes | that is heard when everything before it has been taken | that is heard at once, and what came before can still be taken |
//! | the connection is lost while a message is being sent | Chromium 156 loses the page | that is an error |
//!
//! Without a wish ([`Builder::interface`]) it is the first, where that is there.
//!
//! # What differs from `sockeye::futures`
//!
//! - The types have no parameter for the stream, and nothing is `Send`: what the browser hands out belongs to its thread.
//! - There are no servers, no headers of one's own, no details of a rejected handshake, no redirects: the browser does not
//!   show them. [`url`](WebSocket::url), [`extensions`](WebSocket::extensions), [`interface`](WebSocket::interface) and
//!   [`is_closed`](WebSocket::is_closed) are in addition.
//! - There are no Pings, Pongs and single frames. The browser answers, compresses, masks, and checks what comes.
//! - A program may close with 1000 and 3000 to 4999 only, or without a code. So the peer hears 4009 rather than 1009 when it
//!   goes beyond a limit, no code when it was silent for too long, and no code rather than 1001 when the socket is dropped.
//! - Of [`Config`](crate::protocol::Config) some settings count only, as [`Builder::config`] lists. An idle time-out is about
//!   messages, as Pings and Pongs are not seen.
//! - A socket that nobody polls is kept up by the browser.
//! - `queue` and the `Sink` wait beyond 1 MiB rather than 64 KiB, which can be [set](Builder::high_water).

mod builder;
mod halves;
mod inbox;
mod interface;
mod js;
mod link;
mod socket;
mod standard;
mod state;
mod streaming;
mod streams;
mod timeouts;
mod timer;

pub use self::builder::Builder;
pub use self::halves::{Ended, Receiver, Sender};
pub use self::interface::Interface;
pub use self::socket::{JoinError, WebSocket};
