//! The peer of the tests in a browser. It prints its ports, separated by spaces, and runs until its standard input ends.
//!
//! - The first port is an event loop. It echoes messages, and executes texts that begin with an exclamation mark:
//!   `!close 4000 why` (0 means no code), `!flood 10 1000` (10 messages of 1000 bytes), `!ping`. A connection to `/watch/x`
//!   receives a message when a connection to `/x` ends.
//! - The second port is a relay. A test that connects receives another port, and then controls the TCP connection to that
//!   port: binary messages are its bytes, and texts are commands (`fin`, `reset`, `pause`, `resume`). The relay reports the
//!   end of the connection with `fin` or `reset`, and confirms with `pause` that it has stopped reading.
//! - The third port is the event loop over TLS. It is 0 without the feature `ssl`, or without the folder of a certificate as
//!   an argument.

#![expect(clippy::print_stdout, reason = "the test reads the ports from standard output")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{env, thread};

use sockeye::{
    Builder, CloseCode, Deflate, Error, ErrorKind, Factory, Handler, Handshake, Message, Request, Response,
    Result, Sender, Settings, WebSocket, blocking,
};
use sockeye_test_support::server::Server;

fn main() -> Result<()> {
    let plain = start_loop(Ok);
    // A loop ends when its `Server` is dropped.
    let encrypted = (env::args().len() > 1).then(|| start_loop(encrypt));
    let relay = TcpListener::bind("127.0.0.1:0")?;
    let encrypted_port = encrypted.as_ref().map_or(0, |server| server.addr.port());
    println!("{} {} {encrypted_port}", plain.addr.port(), relay.local_addr()?.port());
    thread::spawn(move || {
        for stream in relay.incoming().flatten() {
            thread::spawn(move || relay_for(stream));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Starts an event loop on a thread of its own.
fn start_loop(prepare: fn(WebSocket<Echoes>) -> Result<WebSocket<Echoes>>) -> Server {
    let settings = Settings {
        subprotocols: &["two", "three"],
        deflate: Some(Deflate::default()),
        max_message_size: 64 << 20,
        max_buffered: 1 << 30,
        ..Settings::default()
    };
    Server::spawn(move || {
        prepare(Builder::new().with_settings(settings).build(Echoes::default())?)?.bind("127.0.0.1:0")
    })
}

#[cfg(feature = "ssl")]
fn encrypt(socket: WebSocket<Echoes>) -> Result<WebSocket<Echoes>> {
    let folder = env::args().nth(1).unwrap_or_default();
    let (certificate, key) = (format!("{folder}/certificate.pem"), format!("{folder}/key.pem"));
    Ok(socket.with_server_tls(sockeye::ServerTls::from_pem_files(certificate, key)?))
}

#[cfg(not(feature = "ssl"))]
fn encrypt(_: WebSocket<Echoes>) -> Result<WebSocket<Echoes>> {
    Err(internal("this build does not have the feature `ssl`"))
}

fn internal(text: &'static str) -> Error {
    Error::new(ErrorKind::Internal, text)
}

/// For each path, the connection that is notified when a connection to the path ends.
type Watchers = Rc<RefCell<HashMap<String, Sender>>>;

/// Creates the handlers of a loop.
#[derive(Default)]
struct Echoes {
    watchers: Watchers,
}

impl Factory for Echoes {
    type Handler = Echo;

    fn connection_made(&mut self, out: Sender) -> Echo {
        Echo { out, path: String::new(), watchers: Rc::clone(&self.watchers) }
    }
}

struct Echo {
    out: Sender,
    path: String,
    watchers: Watchers,
}

impl Handler for Echo {
    fn on_request(&mut self, request: &Request) -> Result<Response> {
        Response::from_request(request)
    }

    fn on_open(&mut self, handshake: Handshake) -> Result<()> {
        self.path = handshake.request.resource().to_owned();
        if let Some(path) = self.path.strip_prefix("/watch") {
            self.watchers.borrow_mut().insert(path.to_owned(), self.out.clone());
        }
        Ok(())
    }

    fn on_message(&mut self, message: Message) -> Result<()> {
        let text = message.is_text().then(|| message.as_text()).transpose()?;
        let command = text.and_then(|text| text.strip_prefix('!'));
        match command.map(str::to_owned) {
            Some(command) => self.execute(&command),
            None => self.out.send(message),
        }
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        if let Some(watcher) = self.watchers.borrow_mut().remove(&self.path) {
            let _ = watcher.send(format!("{code} {reason}"));
        }
    }
}

impl Echo {
    fn execute(&self, command: &str) -> Result<()> {
        let mut words = command.splitn(3, ' ');
        let (verb, first, rest) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let number = |word: &str| word.parse::<u16>().map_err(|_| internal("a number is expected"));
        match verb {
            "close" => self.out.close_with_reason(CloseCode::from(number(first)?), rest.to_owned()),
            "flood" => {
                let len = rest.parse().map_err(|_| internal("a length is expected"))?;
                (0..number(first)?).try_for_each(|_| self.out.send(vec![0; len]))
            }
            "ping" => self.out.ping(b"still there?".to_vec()),
            _ => Err(internal("unknown command")),
        }
    }
}

/// Gives a test control over the other end of a TCP connection.
fn relay_for(stream: TcpStream) -> blocking::Result<()> {
    let mut test = blocking::WebSocket::accept(stream)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Otherwise the system can buffer tens of megabytes for a peer that does not read, and the output never stops.
    socket2::SockRef::from(&listener).set_recv_buffer_size(64 * 1024)?;
    test.send(listener.local_addr()?.port().to_string())?;
    let stream = listener.accept()?.0;
    stream.set_nodelay(true)?;
    let gate = Arc::<Gate>::default();
    let reading = thread::spawn({
        let (gate, test, stream) = (Arc::clone(&gate), test.try_clone()?, stream.try_clone()?);
        move || forward_input(&gate, test, stream)
    });
    let mut stream = Some(stream);
    while let (Some(message), Some(to)) = (test.receive()?, &mut stream) {
        match message {
            // Writing fails if the peer has ended the connection. The reading thread reports that to the test.
            Message::Binary(bytes) => drop(to.write_all(&bytes)),
            Message::Text(command) if command == "fin" => drop(to.shutdown(Shutdown::Write)),
            Message::Text(command) if command == "reset" => {
                socket2::SockRef::from(&*to).set_linger(Some(Duration::ZERO))?;
                // The reading thread drops the last handle when there is nothing more to read.
                let _ = to.shutdown(Shutdown::Read);
                stream = None;
            }
            Message::Text(command) if command == "pause" => {
                gate.set_paused(true);
                test.send(command)?;
            }
            Message::Text(_) => gate.set_paused(false),
        }
    }
    gate.set_paused(false);
    let _ = stream.map(|stream| stream.shutdown(Shutdown::Both));
    let _ = reading.join();
    Ok(())
}

/// Forwards received bytes to the test, except while reading is paused.
fn forward_input(
    gate: &Gate,
    mut test: blocking::WebSocket<blocking::Socket>,
    mut stream: TcpStream,
) -> blocking::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        gate.wait();
        match stream.read(&mut buffer) {
            Ok(0) => return test.send("fin"),
            Ok(len) => test.send(buffer.get(..len).unwrap_or_default())?,
            Err(_) => return test.send("reset"),
        }
    }
}

/// Pauses the reading thread of a relay.
#[derive(Default)]
struct Gate {
    is_paused: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set_paused(&self, is_paused: bool) {
        *self.is_paused.lock().unwrap_or_else(PoisonError::into_inner) = is_paused;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let is_paused = self.is_paused.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(is_paused, |is_paused| *is_paused));
    }
}
