//! The peer of the tests in a browser. It prints its ports, separated by spaces, and runs until its standard input ends.
//!
//! - The first port is an event loop. It echoes messages, and executes texts that begin with an exclamation mark:
//!   `!close 4000 why` (0 means no code), `!flood 10 1000` (10 messages of 1000 bytes), `!ping`. A connection to `/watch/x`
//!   receives a message when a connection to `/x` ends.
//! - The second port is a relay. A test that connects receives another port, and then controls the TCP connection to that
//!   port: binary messages are its bytes, and texts are commands (`fin`, `reset`, `deaf`, `hear`) or report its end (`fin`,
//!   `reset`) or that nothing more is read (`deaf`).
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

fn main() -> Result<()> {
    let plain = run_loop(false)?;
    let relay = TcpListener::bind("127.0.0.1:0")?;
    let encrypted = if env::args().len() > 1 { run_loop(true)? } else { 0 };
    println!("{plain} {} {encrypted}", relay.local_addr()?.port());
    thread::spawn(move || {
        for stream in relay.incoming().flatten() {
            thread::spawn(move || relay_for(stream));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Runs an event loop on a thread of its own; returns its port.
fn run_loop(is_encrypted: bool) -> Result<u16> {
    let settings = Settings {
        subprotocols: &["two", "three"],
        deflate: Some(Deflate::default()),
        max_message_size: 64 << 20,
        max_buffered: 1 << 30,
        ..Settings::default()
    };
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || -> Result<()> {
        let watchers = Watchers::default();
        let factory = |out| Echo { out, path: String::new(), watchers: Rc::clone(&watchers) };
        let socket = Builder::new().with_settings(settings).build(factory)?;
        let socket = if is_encrypted { encrypt(socket)? } else { socket };
        let socket = socket.bind("127.0.0.1:0")?;
        let _ = tell.send(socket.local_addr()?.port());
        socket.run().map(drop)
    });
    told.recv().map_err(|_| internal("the loop does not run"))
}

#[cfg(feature = "ssl")]
fn encrypt<F: Factory>(socket: WebSocket<F>) -> Result<WebSocket<F>> {
    let folder = env::args().nth(1).unwrap_or_default();
    let (certificate, key) = (format!("{folder}/certificate.pem"), format!("{folder}/key.pem"));
    Ok(socket.with_server_tls(sockeye::ServerTls::from_pem_files(certificate, key)?))
}

#[cfg(not(feature = "ssl"))]
fn encrypt<F: Factory>(_: WebSocket<F>) -> Result<WebSocket<F>> {
    Err(internal("this was built without TLS"))
}

fn internal(text: &'static str) -> Error {
    Error::new(ErrorKind::Internal, text)
}

/// Who wants to know how the connections to a path end.
type Watchers = Rc<RefCell<HashMap<String, Sender>>>;

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
        let order =
            message.is_text().then(|| message.as_text()).transpose()?.and_then(|text| text.strip_prefix('!'));
        match order.map(str::to_owned) {
            Some(order) => self.execute(&order),
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
    fn execute(&self, order: &str) -> Result<()> {
        let mut words = order.splitn(3, ' ');
        let (verb, first, rest) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let number = |word: &str| word.parse::<u16>().map_err(|_| internal("that is no number"));
        match verb {
            "close" => self.out.close_with_reason(CloseCode::from(number(first)?), rest.to_owned()),
            "flood" => {
                let len = rest.parse().map_err(|_| internal("that is no length"))?;
                (0..number(first)?).try_for_each(|_| self.out.send(vec![0; len]))
            }
            "ping" => self.out.ping(b"still there?".to_vec()),
            _ => Err(internal("unknown command")),
        }
    }
}

/// Makes a test the other end of a TCP connection.
fn relay_for(stream: TcpStream) -> blocking::Result<()> {
    let mut test = blocking::WebSocket::accept(stream)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Otherwise the system can buffer tens of megabytes for a peer that does not read, and the output never stops.
    socket2::SockRef::from(&listener).set_recv_buffer_size(64 * 1024)?;
    test.send(listener.local_addr()?.port().to_string())?;
    let stream = listener.accept()?.0;
    stream.set_nodelay(true)?;
    let ears = Arc::<Ears>::default();
    let (heard, tester, from) = (Arc::clone(&ears), test.try_clone()?, stream.try_clone()?);
    let reading = thread::spawn(move || pass_on(&heard, tester, from));
    let mut stream = Some(stream);
    while let (Some(message), Some(to)) = (test.receive()?, &mut stream) {
        match message {
            // Writing fails if the peer has gone. The test receives that from the reading side.
            Message::Binary(bytes) => drop(to.write_all(&bytes)),
            Message::Text(order) if order == "fin" => drop(to.shutdown(Shutdown::Write)),
            Message::Text(order) if order == "reset" => {
                socket2::SockRef::from(&*to).set_linger(Some(Duration::ZERO))?;
                // The reading thread drops the last handle when there is nothing more to read.
                let _ = to.shutdown(Shutdown::Read);
                stream = None;
            }
            Message::Text(order) if order == "deaf" => {
                ears.set_deaf(true);
                test.send(order)?;
            }
            Message::Text(_) => ears.set_deaf(false),
        }
    }
    ears.set_deaf(false);
    let _ = stream.map(|stream| stream.shutdown(Shutdown::Both));
    let _ = reading.join();
    Ok(())
}

/// Passes received bytes to the test, unless it is deaf.
fn pass_on(
    ears: &Ears,
    mut test: blocking::WebSocket<blocking::Socket>,
    mut stream: TcpStream,
) -> blocking::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        ears.wait();
        match stream.read(&mut buffer) {
            Ok(0) => return test.send("fin"),
            Ok(len) => test.send(buffer.get(..len).unwrap_or_default())?,
            Err(_) => return test.send("reset"),
        }
    }
}

/// Whether a test wants nothing to be read.
#[derive(Default)]
struct Ears {
    is_deaf: Mutex<bool>,
    changed: Condvar,
}

impl Ears {
    fn set_deaf(&self, is_deaf: bool) {
        *self.is_deaf.lock().unwrap_or_else(PoisonError::into_inner) = is_deaf;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let is_deaf = self.is_deaf.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(is_deaf, |is_deaf| *is_deaf));
    }
}
