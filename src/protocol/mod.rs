//! The protocol core: one end of a WebSocket connection (RFC 6455) without I/O.
//!
//! Bytes and time go in, events and bytes come out. This module knows no socket, thread, runtime or clock. A *front end*, such as
//! the event loop of this crate, provides these. To write another one, build it on this module.
//!
//! # States
//!
//! A [`Connection`] is one type from the first byte of the opening handshake to the end of TCP. [`Connection::state`] returns
//! its [`State`], in the terms of the RFC.
//!
//! ```text
//!            Connection::server        Connection::client
//!                    │                         │ the request is in `out`
//!                    ▼                         ▼
//! CONNECTING  waits for a request      waits for the response ─ Event::Rejected, error ───┐
//!               │    │ Event::Request          │                                          │
//!         error │    ▼                         │                                          │
//!               ├─ owes the response           │                                          │
//!       refuse, │    │ respond: 101            │ Event::Response                          │
//!     any other │    └───────────┬─────────────┘                                          │
//!        status │                ▼                                                        │
//! OPEN          │       messages, Pings, Pongs ── receive_eof, idle timeout ──────────────┤
//!               │          │            │                                                 │
//!               │    close │            │ Event::Close, or an error:                      │
//!               │          ▼            │ our Close is in `out`                           │
//! CLOSING       │   waits for the Close │──────────── receive_eof, close timeout ─────────┤
//!               │   of the peer         │                                                 │
//!               │          │            │                                                 │
//!               │          │Event::Close│                                                 │
//!               └──────────┴────────────┴──▶ writes the last bytes,                       │
//!                                            discards input ── receive_eof, timeout ──────┤
//!                                                                                         ▼
//! CLOSED                                                nothing is expected: close the socket
//! ```
//!
//! # The contract
//!
//! A front end repeats these steps for each connection:
//!
//! 1. **Read.** Pass received bytes to [`receive`](Connection::receive) until it returns `None`. Payloads are unmasked in place.
//! 2. **Deliver** each [`Event`] to the program. [`Event::Request`] must be answered with [`respond`](Connection::respond) or
//!    [`refuse`](Connection::refuse). The rest of the input waits until then, and is passed again.
//! 3. **Collect output.** Every call that may produce output appends it to the `out` that the front end passes: responses,
//!    messages, replies, the Close that fails a connection.
//! 4. **Write** `out`, in order. When all of it is written, and also if it was empty to begin with, call
//!    [`flushed`](Connection::flushed). If that returns true, shut down the writing side of the socket. If it has appended a Pong,
//!    write again. When the socket accepts only a part, call [`unsent`](Connection::unsent).
//! 5. **Set** a timer to [`deadline`](Connection::deadline), which any of these calls may have changed. When it has passed, call
//!    [`tick`](Connection::tick).
//! 6. **Close** the socket as soon as the state is [`State::Closed`].
//!
//! In return, the core guarantees:
//!
//! - Events and output do not depend on how the input is split.
//! - After an error, the connection is being closed: `out` contains what the peer must be sent, the state is
//!   [`State::Closing`] or [`State::Closed`], and all further input is discarded (§7.1.7).
//! - Memory grows with the bytes that have arrived, not with numbers that the peer announces. A frame or message that exceeds a
//!   limit of [`Config`] fails as soon as its header has arrived.
//! - A front end that makes a mistake does not lose this bound: at most one Pong waits besides `out`, and a connection ends at
//!   its deadline even if [`flushed`](Connection::flushed) is never called.
//! - Text is validated as it arrives: an invalid byte fails the call of `receive` that contains it (§8.1).
//! - No input makes the core panic.
//!
//! # What a front end calls
//!
//! | when | it calls | and then |
//! |---|---|---|
//! | bytes have arrived | [`receive`](Connection::receive), until `None` | delivers the events, reports an error |
//! | the peer has ended its side | [`receive_eof`](Connection::receive_eof) | an error means that there was no Close |
//! | the program sends | [`send`](Connection::send), [`ping`](Connection::ping), [`pong`](Connection::pong), [`send_frame`](Connection::send_frame) | writes `out` |
//! | the program closes | [`close`](Connection::close) | writes `out`, and continues to read |
//! | the socket has accepted only a part of `out` | [`unsent`](Connection::unsent) | waits until it accepts more |
//! | `out` is empty | [`flushed`](Connection::flushed) | shuts down writing if it returns true |
//! | the clock reaches [`deadline`](Connection::deadline) | [`tick`](Connection::tick) | an error is the timeout that has passed |
//! | the socket is readable | [`wants_input`](Connection::wants_input) | does not read if it returns false |
//! | much of a payload is [`missing`](Connection::missing) | | may read more at once |
//! | it stops reading, or reads again | [`pause_reading`](Connection::pause_reading), [`resume_reading`](Connection::resume_reading) | |
//! | the socket has failed | [`abandon`](Connection::abandon) | closes it |
//!
//! A `Connection` replies by itself to Pings, to the peer's Close and to violations. If the program must be able to inspect,
//! change or suppress each frame, the front end uses a [`ManualConnection`](manual::ManualConnection) instead.
//!
//! # Other handshakes
//!
//! If the opening handshake is performed elsewhere, create the connection with [`Connection::after_handshake`], in either
//! role. [`Upgrade`] performs the handshake of a server whose request was read by an HTTP server.
//!
//! # Compression
//!
//! With the feature `permessage-deflate` and [`Config::deflate`], the ends negotiate compression in the opening handshake
//! (RFC 7692). Messages are then compressed and decompressed transparently. A front end that inspects frames sees compressed
//! payloads with RSV1.
//!
//! # State outside of connections
//!
//! The core has no global state except two caches that belong to the thread. They affect speed and memory, never results:
//!
//! - Payload buffers: a few buffers of messages that were sent are used for the next messages that are received. A thread
//!   keeps at most 1 MiB, and one short buffer.
//! - With `permessage-deflate`: up to four compressors, four decompressors and a buffer of 32 KiB. Connections that keep no context
//!   between messages use them in turn.
//!
//! A connection can move to another thread at any time. Masking keys and handshake keys come from the random number
//! generator of the crate `rand`, which also keeps its state in the thread.
//!
//! # Examples
//!
//! A client and a server in memory: the opening handshake, a text, a Ping, and the closing handshake.
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
//! /// Steps 1 to 3: passes bytes to one end, responds to a request, and returns what was received.
//! fn deliver(
//!     end: &mut Connection,
//!     arrived: &mut Vec<u8>,
//!     out: &mut Vec<u8>,
//! ) -> Result<Vec<Event>, Box<dyn Error>> {
//!     let (mut bytes, mut events, now) = (std::mem::take(arrived), Vec::new(), Instant::now());
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
//!     // Bytes on their way from the client to the server, and back.
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
//!     // Steps 4 and 6: the server ends TCP first, and the client follows (§7.1.1).
//!     assert!(server.flushed(now, &mut down) && !client.flushed(now, &mut up));
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

pub use config::Config;
pub(crate) use config::Overrides;
#[cfg(any(
    feature = "reactor",
    feature = "blocking",
    feature = "futures",
    all(feature = "browser", any(target_family = "wasm", sockeye_docs))
))]
pub(crate) use connection::check_close;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) use connection::extension::ProgramExtension;
pub use connection::{Connection, Event, State, manual};
pub use deflate::Deflate;
pub use error::ProtocolError;
pub use extension::FrameExtension;
pub use framing::encoder::Output;
#[cfg(feature = "reactor")]
pub(crate) use framing::encoder::{Encode, write_frame, write_message};
pub use framing::frame::Frame;
pub use framing::header::{Header, OpCode};
pub use framing::mask;
#[cfg(feature = "reactor")]
pub use framing::message_ref::MessageRef;
pub use framing::shared_message::SharedMessage;
pub use handshake::Upgrade;
pub use role::Role;
