//! Echoes messages with the reactor. Callgrind runs this program: `reactor closure|struct SIZE IN_FLIGHT COUNT`.
//!
//! The client is the same program in a child process, so that callgrind only counts the server. The client sends each
//! batch of messages with one write, and waits for all replies before it sends the next batch.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use sockeye::{Handler, Message, Sender, WebSocket};
use sockeye_inprocess::{Kind, Result, frames};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A handler that keeps the default frame hooks.
#[derive(Debug)]
struct Echo(Sender);

impl Handler for Echo {
    fn on_message(&mut self, message: Message) -> sockeye::Result<()> {
        echo(&self.0, message)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["client", address, size, in_flight, count] => {
            client(address, size.parse()?, in_flight.parse()?, count.parse()?)
        }
        ["closure", rest @ ..] if rest.len() == 3 => {
            serve(rest, |out: Sender| move |message| echo(&out, message))
        }
        ["struct", rest @ ..] if rest.len() == 3 => serve(rest, Echo),
        _ => Err("usage: closure|struct SIZE IN_FLIGHT COUNT".into()),
    }
}

/// Echoes a message. An empty message ends the loop.
fn echo(out: &Sender, message: Message) -> sockeye::Result<()> {
    if message.is_empty() { out.shutdown() } else { out.send(message) }
}

fn serve<F, H>(arguments: &[&str], factory: F) -> Result<()>
where
    F: FnMut(Sender) -> H,
    H: Handler,
{
    let socket = WebSocket::new(factory)?.bind("127.0.0.1:0")?;
    let address = socket.local_addr()?.to_string();
    let mut client =
        Command::new(std::env::current_exe()?).args(["client", &address]).args(arguments).spawn()?;
    socket.run()?;
    if client.wait()?.success() { Ok(()) } else { Err("the client failed".into()) }
}

fn client(address: &str, size: usize, in_flight: usize, count: usize) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(REQUEST)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let batch = frames(Kind::Binary, size, in_flight);
    // A reply has no masking key, which has four bytes in each frame of the batch.
    let mut replies = vec![0; batch.len() - 4 * in_flight];
    for _ in 0..count / in_flight {
        stream.write_all(&batch)?;
        stream.read_exact(&mut replies)?;
    }
    stream.write_all(&frames(Kind::Binary, 0, 1))?;
    stream.read_to_end(&mut replies)?;
    Ok(())
}
