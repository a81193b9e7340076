//! A peer over TLS: OpenSSL on a blocking socket.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use openssl::ssl::{
    ErrorCode, SslAcceptor, SslConnector, SslConnectorBuilder, SslMethod, SslStream, SslVerifyMode,
};
use sockeye::protocol::Role;
use sockeye::{ClientTls, ClientTlsBuilder, CloseCode, Frame, ServerTls, TlsEngine};

use crate::authority::{Authority, Identity};
use crate::peer::{End, Ending, Peer, prepared};

/// Returns a connector that only trusts this authority.
pub fn trusting(root: &Authority) -> SslConnectorBuilder {
    let mut store = openssl::x509::store::X509StoreBuilder::new().unwrap();
    store.add_cert(root.certificate().clone()).unwrap();
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_cert_store(store.build());
    connector
}

/// Returns a connector that accepts any certificate.
pub fn gullible() -> SslConnectorBuilder {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    connector
}

/// Returns a connector that accepts any certificate. It is created once, because its creation reads the system's roots.
pub fn anyone() -> SslConnector {
    static ANYONE: OnceLock<SslConnector> = OnceLock::new();
    ANYONE.get_or_init(|| gullible().build()).clone()
}

/// Returns the engine under test. The environment variable `SOCKEYE_TEST_ENGINE` selects it: `openssl`, `rustls`, or
/// the default engine if the variable is not set.
pub fn engine() -> TlsEngine {
    match std::env::var("SOCKEYE_TEST_ENGINE").as_deref() {
        Ok("openssl") => TlsEngine::OpenSsl,
        #[cfg(feature = "rustls")]
        Ok("rustls") => TlsEngine::Rustls,
        Ok(other) => panic!("this build does not contain the TLS engine `{other}`"),
        Err(_) => TlsEngine::default(),
    }
}

/// Returns a builder for clients with the engine under test.
pub fn client_tls() -> ClientTlsBuilder {
    ClientTls::builder().engine(engine())
}

/// Returns a client with the engine under test that only trusts this authority.
pub fn client_of(root: &Authority) -> ClientTls {
    client_tls().trust_none().trust_pem(root.certificate().to_pem().unwrap()).build().unwrap()
}

/// Returns a client with the engine under test that accepts any certificate.
pub fn client_of_anyone() -> ClientTls {
    static ANYONE: OnceLock<ClientTls> = OnceLock::new();
    ANYONE.get_or_init(|| client_tls().danger_accept_any_certificate().build().unwrap()).clone()
}

/// Returns a server with the engine under test and this certificate.
pub fn server_of(identity: &Identity) -> ServerTls {
    let mut chain = identity.certificate.to_pem().unwrap();
    identity.chain.iter().for_each(|issuer| chain.extend(issuer.to_pem().unwrap()));
    let key = identity.key.private_key_to_pem_pkcs8().unwrap();
    ServerTls::builder_from_pem(chain, key).engine(engine()).build().unwrap()
}

/// Returns an acceptor with this certificate.
pub fn acceptor(identity: &Identity) -> SslAcceptor {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&identity.certificate).unwrap();
    identity.chain.iter().for_each(|issuer| acceptor.add_extra_chain_cert(issuer.clone()).unwrap());
    acceptor.set_private_key(&identity.key).unwrap();
    acceptor.build()
}

/// A socket with timeouts that repeats interrupted calls. OpenSSL does not repeat them.
#[derive(Debug)]
pub struct Steady(TcpStream);

pub fn tcp(address: SocketAddr) -> Steady {
    Steady::new(TcpStream::connect(address).unwrap())
}

impl Steady {
    fn new(stream: TcpStream) -> Self {
        Self(prepared(stream))
    }

    fn again(&mut self, mut wait: impl FnMut(&mut TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match wait(&mut self.0) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Deref for Steady {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0
    }
}

impl Read for Steady {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.again(|stream| stream.read(buffer))
    }
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.again(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A TLS stream that distinguishes a `close_notify` alert from the end of TCP.
#[derive(Debug)]
pub struct Encrypted(SslStream<Steady>);

impl Deref for Encrypted {
    type Target = SslStream<Steady>;

    fn deref(&self) -> &SslStream<Steady> {
        &self.0
    }
}

impl DerefMut for Encrypted {
    fn deref_mut(&mut self) -> &mut SslStream<Steady> {
        &mut self.0
    }
}

impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.ssl_read(buffer) {
            Ok(len) => Ok(len),
            Err(err) if err.code() == ErrorCode::ZERO_RETURN => Ok(0),
            Err(err) if err.code() == ErrorCode::SYSCALL && err.io_error().is_none() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Err(err) => Err(err.into_io_error().unwrap_or_else(io::Error::other)),
        }
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A peer over TLS.
pub type TlsPeer = Peer<Encrypted>;

impl Peer<Encrypted> {
    /// Creates a client on a TLS stream.
    pub fn encrypted(stream: SslStream<Steady>) -> Self {
        Self::over(Encrypted(stream), Role::Client)
    }

    /// Connects to localhost, and completes the opening handshake.
    pub fn connect_tls(address: SocketAddr, connector: &SslConnector) -> Self {
        let stream = connector.connect("localhost", tcp(address)).expect("the handshake succeeds");
        let mut peer = Self::encrypted(stream);
        peer.upgrade();
        peer
    }

    /// Accepts a client, and completes the opening handshake.
    pub fn accept_tls(listener: &TcpListener, acceptor: &SslAcceptor) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let stream = acceptor.accept(Steady::new(stream)).expect("the handshake succeeds");
        let mut peer = Self::over(Encrypted(stream), Role::Server);
        peer.upgrade();
        peer
    }

    /// Closes the connection cleanly, including TLS. Returns how the other end has ended it.
    pub fn finish_tls(&mut self) -> End {
        self.send(Frame::close(CloseCode::Normal, ""));
        assert_eq!(self.ending(), Ending::Close(CloseCode::Normal));
        if self.role == Role::Server {
            // The server ends TCP first (RFC 6455 §7.1.1).
            self.stream.shutdown().unwrap();
        }
        self.end()
    }
}

/// Reads from a stream until its end or an error, and returns the bytes.
pub fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..len]);
    }
    bytes
}
