//! TLS set up in a handler: this client accepts any certificate, so an attacker in between can read and change
//! everything.
//!
//! ```text
//! cargo run --features ssl --example ssl-server
//! cargo run --features ssl --example unsafe-ssl-client -- [URL]
//! ```
//!
//! A client that verifies certificates does not need this: `connect("wss://...", ...)` is enough.

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use sockeye::openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use sockeye::url::Url;
use sockeye::util::TcpStream;
use sockeye::{CloseCode, Handler, Handshake, Message, Result, Sender};

const USAGE: &str = "\
Usage: unsafe-ssl-client [URL]

Sends one message over TLS without verifying the certificate, and prints the answer.

URL  the server [wss://127.0.0.1:3012]";

struct Client {
    out: Sender,
}

impl Handler for Client {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        println!("connected with {}", shake.tls_version().unwrap_or("no encryption"));
        self.out.send("Hello, server!")
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        println!("received '{msg}'");
        self.out.close(CloseCode::Normal)
    }

    fn upgrade_ssl_client(&mut self, stream: TcpStream, _url: &Url) -> Result<SslStream<TcpStream>> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_verify(SslVerifyMode::NONE);
        let connector = builder.build().configure()?.verify_hostname(false).use_server_name_indication(false);
        // The stream is non-blocking: `connect` returns during the handshake, and the event loop completes it.
        connector.connect("", stream).map_err(From::from)
    }
}

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = support::Arguments::parse(USAGE)?;
    let url = arguments.url("wss://127.0.0.1:3012")?;
    arguments.end()?;

    sockeye::connect(url.as_str(), |out| {
        support::shut_down_on_interrupt(&out);
        Client { out }
    })?;
    Ok(())
}
