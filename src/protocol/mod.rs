//! The protocol core: one end of a WebSocket connection (RFC 6455), without any I/O.
//!
//! Bytes and time go in, events and bytes come out. Nothing in here knows a socket, a thread, a runtime or a clock; who
//! has those is a *front end*, such as the event loop of this crate, and whoever wants another one writes it on this
//! module.
//!
//! # The states
//!
//! A [`Connection`] is one type from the first byte of the opening handshake to the end of TCP. [`Connection::state`]
//! tells which of the RFC's [`State`]s it is in.
//!
//! ```text
//!            Connection::server        Connection::client
//!                    │                         │ the request is written
//!                    ▼                         ▼
//! CONNECTING  awaits a request         awaits the response ── Event::Rejected, an error ──┐
//!               │    │ Event::Request          │                                          │
//!      an error │    ▼                         │                                          │
//!               ├─ owes the response           │                                          │
//!       refuse, │    │ respond: 101            │ Event::Response                          │
//!     any other │    └───────────┬─────────────┘                                          │
//!        status │                ▼                                                        │
//! OPEN          │       messages, Pings, Pongs ── receive_eof, the peer is silent ────────┤
//!               │          │            │                                                 │
//!               │    close │            │ Event::Close, or an error:                      │
//!               │          ▼            │ our Close is written                            │
//! CLOSING       │   awaits the Close ───│──────────── receive_eof, time ──────────────────┤
//!               │   of the peer         │                                                 │
//!               │          │            │                                                 │
//!               │          │Event::Close│                                                 │
//!               └──────────┴────────────┴──▶ writes the last bytes,                       │
//!                                            discards what comes ── receive_eof, time ────┤
//!                                                                                         ▼
//! CLOSED                                                     nothing is awaited: close the socket
//! ```
//!
//! # The contract
//!
//! A front end goes round these steps, for each connection:
//!
//! 1. **Read.** Lend what came from the peer to [`receive`](Connection::receive), until it returns `None`. The payloads
//!    are unmasked where they lie.
//! 2. **Hand out** each [`Event`]. An [`Event::Request`] wants an answer, [`respond`](Connection::respond) or
//!    [`refuse`](Connection::refuse); what is left of the input waits until then, and is lent again.
//! 3. **Speak.** Every call that may have something to say appends it to the `out` that the front end lends: an answer,
//!    a message, the Close that fails a connection.
//! 4. **Write** `out`, in order. When nothing of it is left, and also when there was nothing to begin with, call
//!    [`flushed`](Connection::flushed); if that returns true, shut down the writing side of the socket.
//! 5. **Arm** a timer for [`deadline`](Connection::deadline), which any of these calls may have moved. When it has
//!    passed, call [`tick`](Connection::tick).
//! 6. **Close** the socket as soon as the state is [`State::Closed`].
//!
//! In return:
//!
//! - Any split of the bytes that come gives the same events and the same output.
//! - An error never leaves a connection half dead. What the peer is to be told is in `out`, the state is
//!   [`State::Closing`] or [`State::Closed`], and everything that still comes is discarded (§7.1.7).
//! - Memory follows the bytes that have come, never a number that the peer has named. What is too long fails with the
//!   header that says so, by the limits of [`Config`].
//! - Text is checked as it arrives: a byte that cannot be UTF-8 fails the `receive` that brings it (§8.1).
//! - No byte of a peer makes the core panic.
//!
//! # What a front end does
//!
//! | when | it calls | and then |
//! |---|---|---|
//! | bytes came | [`receive`](Connection::receive), until `None` | hands out the events; an error is reported |
//! | the peer ended its side | [`receive_eof`](Connection::receive_eof) | an error tells that no Close came before |
//! | the program sends | [`send`](Connection::send), [`ping`](Connection::ping), [`pong`](Connection::pong), [`send_frame`](Connection::send_frame) | writes `out` |
//! | the program closes | [`close`](Connection::close) | writes `out`, and goes on reading |
//! | `out` is empty | [`flushed`](Connection::flushed) | shuts down writing if it returns true |
//! | the clock reaches [`deadline`](Connection::deadline) | [`tick`](Connection::tick) | an error tells which time-out it was |
//! | the system takes no more of `out` | [`hold_pongs`](Connection::hold_pongs), later [`release_pongs`](Connection::release_pongs) | sends the Pong that it gets back |
//! | bytes can be read | [`wants_input`](Connection::wants_input) | leaves them to TCP if it returns false |
//! | much of a payload is [`missing`](Connection::missing) | | may read more at once |
//! | the socket failed | [`abandon`](Connection::abandon) | closes it |
//!
//! By default the core answers by itself: Pings, the Close of the peer, violations. A front end whose program is to see
//! each frame that comes and goes sets [`Answers::Manual`]. It then gets every frame as [`Event::Frame`], hands it back
//! to [`accept`](Connection::accept), changed or not, and sends the answers itself: what [`answer`](Connection::answer),
//! [`close_reply`](Connection::close_reply) and [`failure`](Connection::failure) return, by
//! [`send_frame`](Connection::send_frame).
//!
//! # Compression
//!
//! With the feature `permessage-deflate` and [`Config::deflate`] the two ends agree on it in the opening handshake (RFC 7692),
//! and a front end sees messages as ever. A front end that looks at frames itself sees compressed ones, with RSV1, as they
//! came; what it sends is compressed after it has been handed over. Compressors and inflaters that keep no context belong
//! to the thread, and connections borrow them.
//!
//! # Examples
//!
//! A client and a server in memory: the handshake, a text, a Ping, and the end.
//!
//! ```
//! use std::error::Error;
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use sockeye::CloseCode;
//! use sockeye::protocol::handshake::{Request, Response};
//! use sockeye::protocol::{Config, Connection, Event, State};
//!
//! /// Steps 1 to 3: lends what came to one end, and answers a request; returns what it has received.
//! fn deliver(
//!     end: &mut Connection,
//!     came: &mut Vec<u8>,
//!     out: &mut Vec<u8>,
//! ) -> Result<Vec<Event>, Box<dyn Error>> {
//!     let (mut bytes, mut events, now) = (std::mem::take(came), Vec::new(), Instant::now());
//!     let mut input = bytes.as_mut_slice();
//!     while let Some(event) = end.receive(&mut input, now, out)? {
//!         if let Event::Request(request) = &event {
//!             end.respond(request, &mut Response::from_request(request)?, now, out)?;
//!         }
//!         events.push(event);
//!     }
//!     Ok(events)
//! }
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     let (config, now) = (Arc::new(Config::default()), Instant::now());
//!     // What the client has said and the server has not heard, and the other way round.
//!     let (mut up, mut down) = (Vec::new(), Vec::new());
//!
//!     let request = Request::from_url(&"ws://example.com/chat".parse()?)?;
//!     let mut client = Connection::client(Arc::clone(&config), request, now, &mut up)?;
//!     let mut server = Connection::server(config, now);
//!     deliver(&mut server, &mut up, &mut down)?;
//!     deliver(&mut client, &mut down, &mut up)?;
//!     assert_eq!((client.state(), server.state()), (State::Open, State::Open));
//!
//!     client.send("upstream", now, &mut up)?;
//!     client.ping("still there?", now, &mut up)?;
//!     let received = deliver(&mut server, &mut up, &mut down)?;
//!     assert!(matches!(&received[0], Event::Message(text) if text.as_text().is_ok_and(|t| t == "upstream")));
//!     assert!(matches!(&received[1], Event::Ping(payload) if payload == b"still there?"));
//!     let answered = deliver(&mut client, &mut down, &mut up)?;
//!     assert!(matches!(&answered[0], Event::Pong(payload) if payload == b"still there?"));
//!
//!     client.close(CloseCode::Normal, "spawned", now, &mut up)?;
//!     let received = deliver(&mut server, &mut up, &mut down)?;
//!     assert!(matches!(&received[0], Event::Close(CloseCode::Normal, reason) if reason == "spawned"));
//!     deliver(&mut client, &mut down, &mut up)?;
//!
//!     // Steps 4 and 6: the server ends TCP first, the client follows (§7.1.1).
//!     assert!(server.flushed(now) && !client.flushed(now));
//!     client.receive_eof()?;
//!     server.receive_eof()?;
//!     assert_eq!((client.state(), server.state()), (State::Closed, State::Closed));
//!     Ok(())
//! }
//! ```

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]

pub(crate) mod buffer_pool;
mod config;
mod connection;
#[cfg(feature = "permessage-deflate")]
mod deflate;
#[cfg(not(feature = "permessage-deflate"))]
#[path = "deflate/disabled.rs"]
mod deflate;
mod error;
mod extension;
mod framing;
pub mod handshake;
mod role;

pub(crate) use config::Wishes;
pub use config::{Answers, Config};
#[cfg(any(feature = "reactor", all(feature = "browser", any(target_family = "wasm", sockeye_docs))))]
pub(crate) use connection::check_close;
pub use connection::{Connection, Event, State};
pub use deflate::Deflate;
pub use error::ProtocolError;
pub use extension::FrameExtension;
pub use framing::encoder::Output;
#[cfg(feature = "reactor")]
pub(crate) use framing::encoder::write_frame;
pub use framing::frame::Frame;
pub use framing::header::{Header, OpCode, Reserved};
pub use framing::mask;
pub use handshake::Upgrade;
pub use role::Role;
