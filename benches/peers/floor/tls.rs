//! An OpenSSL stream over each socket. Environment variables contain the paths of the certificate and of the key.

use std::env;
use std::io::{self, Read, Write};

use mio::net::TcpStream;
use openssl::ssl::{Ssl, SslAcceptor, SslFiletype, SslMethod, SslMode, SslStream};

use crate::arguments::Result;
use crate::turns::Wrap;

pub(crate) struct Tls(SslAcceptor);

impl Tls {
    pub(crate) fn new() -> Result<Self> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        builder.set_certificate_chain_file(env::var("BENCH_CERTIFICATE")?)?;
        builder.set_private_key_file(env::var("BENCH_KEY")?, SslFiletype::PEM)?;
        // A blocked write may be repeated from another buffer, because the content of the bytes does not matter.
        builder.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
        Ok(Self(builder.build()))
    }
}

/// Reads and writes. The first read performs the handshake.
pub(crate) struct Stream(SslStream<TcpStream>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wrap for Tls {
    type Stream = Stream;
    // A read returns at most one record.
    const SHORT_READ_IS_ALL: bool = false;

    fn wrap(&self, socket: TcpStream) -> io::Result<Stream> {
        let mut ssl = Ssl::new(self.0.context())?;
        ssl.set_accept_state();
        Ok(Stream(SslStream::new(ssl, socket)?))
    }
}
