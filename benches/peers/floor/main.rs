//! The floor: the cost of the system calls without WebSocket.
//!
//! The server is a loop on mio with one thread and one large buffer for all reads. For the bytes of a client's frames,
//! it writes as many bytes as the frames of a server would have. It writes them directly from the read buffer, and
//! immediately after each read. It does not parse, unmask or copy anything. It only counts bytes, so that its output is
//! as long as the output of a WebSocket server. The length of the messages is an argument.
//!
//! - `echo`: one `read` for each readable event (two if the buffer was filled), and one `write` for each read.
//! - `broadcast`: one `write` to every connection for the messages of one read.
//! - The server answers every request with the same response, as soon as the request has been received.
//! - `tls`: the same echo, with an OpenSSL stream over each socket.

#[path = "../../shared/arguments.rs"]
mod arguments;
mod count;
mod plain;
#[cfg(feature = "tls")]
mod tls;
mod turns;

use arguments::{Result, arguments};

/// The size of the read buffer, and therefore the maximum number of bytes of one read.
const BUFFER: usize = 512 * 1024;

/// The response for the only key that the load generator sends.
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
        _ => Err("unknown mode".into()),
    }
}
