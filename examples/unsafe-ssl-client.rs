//! A client that believes any server, by encrypting in a handler of its own: whoever stands in between can read along.
//!
//! ```text
//! cargo run --features ssl --example ssl-server
//! cargo run --features ssl --example unsafe-ssl-client -- [URL]
//! ```
//!
//! A client that verifies needs no hook and no setting: `connect("wss://...", ...)` does.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;

use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use sockeye::util::TcpStream;
use sockeye::{CloseCode, Handler, Handshake, Message, Result, Sender};
use url::Url;

struct Client {
    out: Sender,
}

impl Handler for Client {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        println!("connected by {}", shake.tls_version().unwrap_or("nothing that encrypts"));
        self.out.send("Hello, whoever you are!")
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        println!("received '{msg}'");
        self.out.close(CloseCode::Normal)
    }

    fn upgrade_ssl_client(&mut self, stream: TcpStream, _url: &Url) -> Result<SslStream<TcpStream>> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_verify(SslVerifyMode::NONE);
        let connector = builder.build().configure()?.verify_hostname(false).use_server_name_indication(false);
        // The stream does not block: this returns before the handshake is over, and the loop goes on with it.
        connector.connect("", stream).map_err(From::from)
    }
}

fn main() -> Result<()> {
    env_logger::init();
    let url = env::args().nth(1).unwrap_or_else(|| "wss://127.0.0.1:3012".into());
    sockeye::connect(url, |out| Client { out })
}
