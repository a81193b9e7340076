//! A program written for parity-ws 0.11, with all the settings that parity-ws added to those of ws.

use std::thread;

use parity_ws::{connect, Builder, CloseCode, Handler, Message, Result, Sender, Settings};

/// Echoes each message, and shuts the server down when the client has closed its connection.
struct Server {
    out: Sender,
}

impl Handler for Server {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        self.out.shutdown().expect("the server should shut down");
    }
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.max_connections = 10;
    settings.max_total_fragments_size = 128 * 1024;
    settings.in_buffer_capacity_hard_limit = 64 * 1024;
    settings.in_buffer_capacity_soft_limit = 16 * 1024;
    settings.out_buffer_capacity_hard_limit = 256 * 1024;
    settings.out_buffer_capacity_soft_limit = 16 * 1024;
    settings
}

fn main() -> Result<()> {
    let server = Builder::new().with_settings(settings()).build(|out| Server { out })?;
    let server = server.bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let server = thread::spawn(move || server.run().map(drop));

    connect(format!("ws://{}/", address), |out| {
        out.send("hello").expect("the message should be queued");
        move |msg| {
            println!("client: received {}", msg);
            assert_eq!(msg, Message::text("hello"));
            out.close(CloseCode::Normal)
        }
    })?;
    server.join().expect("the server should not panic")
}
