//! An echo server on sockets that block: each client has a thread of its own. An interrupt (Ctrl-C) ends it in order: everyone
//! gets a Close, and every thread is waited for.
//!
//! ```text
//! cargo run --features blocking --example blocking-server [ADDRESS]
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sockeye::CloseCode;
use sockeye::blocking::WebSocket;

/// A second handle to each connection that is open, to close it from outside.
type Guests = Mutex<Vec<WebSocket<TcpStream>>>;

fn main() -> sockeye::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3012".into());
    let listener = TcpListener::bind(&address)?;
    let is_stopping = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_stopping);
    let own_address = listener.local_addr()?;
    ctrlc::set_handler(move || {
        stop.store(true, Ordering::SeqCst);
        // Accepting cannot be interrupted, but it ends when somebody comes.
        let _ = TcpStream::connect(own_address);
    })
    .map_err(io::Error::other)?;

    println!("listening on {address}");
    let guests = Guests::default();
    thread::scope(|scope| {
        for stream in listener.incoming() {
            if is_stopping.load(Ordering::SeqCst) {
                break;
            }
            let (stream, guests) = (stream?, &guests);
            scope.spawn(move || match serve(stream, guests) {
                Ok(()) => println!("a client has left"),
                Err(err) => println!("a client is lost: {err}"),
            });
        }
        let open = std::mem::take(&mut *guests.lock().unwrap_or_else(PoisonError::into_inner));
        for mut guest in open {
            guest.close(CloseCode::Away, "the server stops")?;
        }
        // The threads end with their connections, and the scope with them.
        Ok(())
    })
}

fn serve(stream: TcpStream, guests: &Guests) -> sockeye::Result<()> {
    let mut socket = WebSocket::accept(stream)?;
    let mut list = guests.lock().unwrap_or_else(PoisonError::into_inner);
    list.retain(WebSocket::is_open);
    list.push(socket.try_clone()?);
    drop(list);
    while let Some(message) = socket.read()? {
        println!("received {message}");
        socket.send(message)?;
    }
    Ok(())
}
