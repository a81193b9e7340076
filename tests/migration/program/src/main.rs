//! A program written for ws 0.9: a server and a client in one process, which exchange a message and end.

use std::thread;

use url::Url;
use ws::{Builder, CloseCode, Handler, Handshake, Message, Result, Sender, Settings, WebSocket};

/// Echoes each message, and shuts the server down when the client has closed its connection.
struct Server {
    out: Sender,
}

impl Handler for Server {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        println!("server: closed with {:?} {}", code, reason);
        self.out.shutdown().expect("the server should shut down");
    }
}

/// Sends a greeting, and closes the connection when the echo arrives.
struct Client {
    out: Sender,
}

impl Handler for Client {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.send("hello")
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        println!("client: received {}", msg);
        assert_eq!(msg, Message::text("hello"));
        self.out.close_with_reason(CloseCode::Normal, "done")
    }
}

fn main() -> Result<()> {
    let settings = Settings { max_connections: 10, ..Settings::default() };
    let server = Builder::new().with_settings(settings).build(|out| Server { out })?;
    let server = server.bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let server = thread::spawn(move || server.run().map(drop));

    let mut client = WebSocket::new(|out| Client { out })?;
    client.connect(Url::parse(&format!("ws://{}/", address)).expect("the URL should be valid"))?;
    client.run()?;
    server.join().expect("the server should not panic")
}
