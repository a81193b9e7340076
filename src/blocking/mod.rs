//! A blocking WebSocket: each call waits on the thread that makes it.
//!
//! It needs only the standard library, no event loop and no async runtime. It suits small clients, and servers with a thread
//! for each connection. The protocol core checks everything that RFC 6455 requires;
//! [`protocol::Config`](crate::protocol::Config) contains the limits and their defaults.
//!
//! ```
//! use std::net::TcpListener;
//! use std::thread;
//!
//! use sockeye::CloseCode;
//! use sockeye::blocking::{Result, WebSocket};
//!
//! // An echo server with a thread for each client.
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! thread::spawn(move || -> Result<()> {
//!     for stream in listener.incoming() {
//!         let stream = stream?;
//!         thread::spawn(move || -> Result<()> {
//!             let mut socket = WebSocket::accept(stream)?;
//!             while let Some(message) = socket.receive()? {
//!                 socket.send(message)?;
//!             }
//!             Ok(())
//!         });
//!     }
//!     Ok(())
//! });
//!
//! let mut socket = WebSocket::connect(&format!("ws://{address}/"))?;
//! socket.send("salmon")?;
//! assert_eq!(socket.receive()?, Some("salmon".into()));
//! let closed = socket.close(CloseCode::Normal, "done")?;
//! assert_eq!(closed.code, CloseCode::Normal);
//! # Result::Ok(())
//! ```
//!
//! # Choosing a method
//!
//! | to | use |
//! |---|---|
//! | open a connection | [`WebSocket::connect`], [`WebSocket::accept`], or a [`Builder`] with options |
//! | open one again whenever it is lost | [`Builder::connect_with`], [`Reconnecting`] |
//! | open one on your own stream, step by step | [`Builder::client`], [`Builder::server`] |
//! | continue after a handshake of another server | [`WebSocket::upgraded`] |
//! | receive messages | [`receive`](WebSocket::receive), [`receive_into`](WebSocket::receive_into), [`messages`](WebSocket::messages) |
//! | receive without waiting, or with a limit | [`try_receive`](WebSocket::try_receive), [`set_read_timeout`](WebSocket::set_read_timeout) |
//! | also receive Pings, Pongs and the Close | [`receive_event`](WebSocket::receive_event) |
//! | receive and send single frames | [`receive_frame`](WebSocket::receive_frame), [`send_frame`](WebSocket::send_frame) |
//! | send one message | [`send`](WebSocket::send) |
//! | send many small messages at once | [`queue`](WebSocket::queue) and [`flush`](WebSocket::flush) |
//! | transfer bytes | [`io::Read`](std::io::Read) and [`io::Write`](std::io::Write) |
//! | end the connection | [`close`](WebSocket::close), or [`abort`](WebSocket::abort) |
//!
//! # Receiving and sending at the same time
//!
//! [`WebSocket::try_clone`] creates a second handle to the same connection, like that of a `TcpStream`. One thread can wait
//! in `receive` while another sends. This works with TCP, Unix domain sockets, and [TLS](Tls) over both.
//!
//! Every call that receives answers Pings and the Close of the peer. A program that never receives does not keep its
//! connection alive. [`WebSocket::close`] receives by itself if no other thread does.
//!
//! # Stopping a server
//!
//! The program accepts with its own `TcpListener`, on any number of threads. To stop, set a flag, connect once for each
//! thread that accepts, [close](WebSocket::close) a second handle of each connection, and join the threads. The example
//! `blocking-server` does this.
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
//! | each call that receives | [`Builder::read_timeout`] | no limit | [`Read`](TimeoutKind::Read) |
//! | silence of the peer | [`Config::idle_timeout`], [`Config::ping_interval`] | no limit | [`Idle`](TimeoutKind::Idle) |
//! | the closing handshake | [`Config::close_timeout`] | 10 seconds | none: [`was_clean`](crate::Closed::was_clean) is false |
//!
//! The socket changes the timeouts of its stream to keep these limits. If the program had set a read timeout on the stream
//! before, it becomes the read timeout of the socket; a write timeout limits each write. [`WebSocket::into_inner`] restores
//! both. A [`Bare`] stream has no timeouts, so the time is checked only when a read returns.
//!
//! The limits apply to the calls that receive and to those that send. A peer that sends something from time to time and does not
//! read is not silent: limit each write with the write timeout of the stream. While a program calls nothing, no Ping is sent or
//! answered, and no timeout ends the connection. The next call that receives does what is due. It reads first, so that a peer that
//! has sent something in time is not late because the program is.
//!
//! # Memory
//!
//! A socket needs less than 1 KiB while no call is in progress, a handshake with few headers included: it returns its buffers to the
//! thread. A call that waits for input needs a buffer of 8 KiB besides.
//!
//! [`Config::handshake_timeout`]: crate::protocol::Config::handshake_timeout
//! [`Config::idle_timeout`]: crate::protocol::Config::idle_timeout
//! [`Config::ping_interval`]: crate::protocol::Config::ping_interval
//! [`Config::close_timeout`]: crate::protocol::Config::close_timeout

mod builder;
mod client;
mod connect;
mod link;
mod messages;
mod reconnecting;
mod reconnecting_sender;
mod reconnecting_state;
mod server;
mod socket;
mod state;
mod stream;
mod timeout;
mod tls;
mod writer;

pub use self::builder::Builder;
pub use self::client::Client;
pub use self::messages::Messages;
pub use self::reconnecting::Reconnecting;
pub use self::reconnecting_sender::ReconnectingSender;
pub use self::server::Server;
pub use self::socket::WebSocket;
pub use self::stream::{Bare, Socket, Stream};
pub use self::tls::Tls;
pub use crate::socket::{Answer, Error, InvalidUrl, ReconnectEvent, ReplyMode, Result, TimeoutKind};
