//! A server over TLS, as in the example `ssl-server` of `ws`. Environment variables contain the paths of the
//! certificate and of the key.

use std::rc::Rc;

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod, SslStream};
use ws::util::TcpStream;
use ws::{Builder, Handler, Message, Sender, Settings};

use crate::Result;

struct Echo {
    out: Sender,
    acceptor: Rc<SslAcceptor>,
}

impl Handler for Echo {
    fn on_message(&mut self, message: Message) -> ws::Result<()> {
        self.out.send(message)
    }

    fn upgrade_ssl_server(&mut self, socket: TcpStream) -> ws::Result<SslStream<TcpStream>> {
        self.acceptor.accept(socket).map_err(From::from)
    }
}

pub(crate) fn listen(address: &str) -> Result<()> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    builder.set_certificate_chain_file(std::env::var("BENCH_CERTIFICATE")?)?;
    builder.set_private_key_file(std::env::var("BENCH_KEY")?, SslFiletype::PEM)?;
    let acceptor = Rc::new(builder.build());
    let settings = Settings { encrypt_server: true, ..crate::settings() };
    let factory = |out: Sender| Echo { out, acceptor: Rc::clone(&acceptor) };
    Builder::new().with_settings(settings).build(factory)?.listen(address)?;
    Ok(())
}
