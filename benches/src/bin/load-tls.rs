//! The load generator for TLS: `load-tls SPECIFICATION`.

use std::io::{self, Read, Write};
use std::sync::OnceLock;

use mio::net::TcpStream;
use openssl::ssl::{SslConnector, SslMethod, SslMode, SslStream, SslVerifyMode};
use sockeye_benches::load::{self, Stream};

/// A TLS stream of OpenSSL over a socket.
struct Tls(SslStream<TcpStream>);

/// Returns the connector. It is created once, because its creation reads all certificates of the system.
fn connector() -> sockeye_benches::Result<&'static SslConnector> {
    static CONNECTOR: OnceLock<SslConnector> = OnceLock::new();
    if let Some(connector) = CONNECTOR.get() {
        return Ok(connector);
    }
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    // The certificate is created for each run, and the messages are not secret.
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
    Ok(CONNECTOR.get_or_init(|| builder.build()))
}

impl Stream for Tls {
    // A read returns at most one record.
    const SHORT_READ_IS_ALL: bool = false;

    fn open(socket: std::net::TcpStream) -> sockeye_benches::Result<Self> {
        let socket = TcpStream::from_std(socket);
        let stream = connector()?.connect("localhost", socket).map_err(|error| error.to_string())?;
        Ok(Self(stream))
    }

    fn socket(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> sockeye_benches::Result<()> {
    load::main::<Tls>()
}
