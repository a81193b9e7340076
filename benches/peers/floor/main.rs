//! The floor: what the system calls cost, with no WebSocket in them.
//!
//! A loop on mio, one thread, one large buffer for all reads. For every byte of a client's frames it writes a byte of
//! what a server's frames would be, straight from the buffer into which it has just read, and as soon as it has read:
//! it parses nothing, unmasks nothing, and copies nothing. It only counts, so that what it sends is as long as what a
//! WebSocket server would have sent. The length of the messages is an argument.
//!
//! - `echo`: one `read` for each readable event (two if the buffer was filled), one `write` for each read.
//! - `broadcast`: one `write` to every connection for the messages that came with one read.
//! - The opening handshake is answered, always with the same bytes, as soon as a request has come.
//! - `tls`: the same echo with an OpenSSL stream around each socket.

#[path = "../../shared/arguments.rs"]
mod arguments;
mod count;
mod plain;
#[cfg(feature = "tls")]
mod tls;
mod turns;

use arguments::{Result, arguments};

/// Of the read buffer, and so the most that is taken at once.
const BUFFER: usize = 512 * 1024;

/// The answer to the only key that the load generator sends.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn main() -> Result<()> {
    let (address, mode) = arguments()?;
    let size = std::env::args().nth(3).ok_or("the third argument is the length of a message")?.parse()?;
    match mode.as_str() {
        "echo" => turns::run(&address, size, turns::To::Sender, &plain::Plain),
        "broadcast" => turns::run(&address, size, turns::To::Everyone, &plain::Plain),
        #[cfg(feature = "tls")]
        "tls" => turns::run(&address, size, turns::To::Sender, &tls::Tls::new()?),
        _ => Err("no such mode".into()),
    }
}
