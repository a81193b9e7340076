//! The other end, by hand: OpenSSL on a blocking socket, and the few frames that tests need.

use std::io::{self, Cursor, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

use openssl::ssl::{
    ErrorCode, SslAcceptor, SslConnector, SslConnectorBuilder, SslMethod, SslStream, SslVerifyMode,
};
use sockeye::{CloseCode, Frame, OpCode, Request, Response};

use crate::authority::{Authority, Identity};

/// One end of an encrypted connection.
pub(crate) struct Raw {
    pub(crate) stream: SslStream<Steady>,
    input: Cursor<Vec<u8>>,
    is_client: bool,
}

/// How the other end has ended its side.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has said so.
    Clean,
    /// TCP has ended, and TLS has not.
    Cut,
}

/// A connector that trusts this authority only.
pub(crate) fn trusting(root: &Authority) -> SslConnectorBuilder {
    let mut store = openssl::x509::store::X509StoreBuilder::new().unwrap();
    store.add_cert(root.certificate().clone()).unwrap();
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_cert_store(store.build());
    connector
}

/// A connector that trusts everyone.
pub(crate) fn gullible() -> SslConnectorBuilder {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    connector
}

/// The one that trusts everyone; made once, as it reads the roots of the system first.
pub(crate) fn anyone() -> SslConnector {
    static ANYONE: OnceLock<SslConnector> = OnceLock::new();
    ANYONE.get_or_init(|| gullible().build()).clone()
}

/// An acceptor with this certificate.
pub(crate) fn acceptor(identity: &Identity) -> SslAcceptor {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&identity.certificate).unwrap();
    identity.chain.iter().for_each(|issuer| acceptor.add_extra_chain_cert(issuer.clone()).unwrap());
    acceptor.set_private_key(&identity.key).unwrap();
    acceptor.build()
}

/// A socket with time-outs, whose waits go on after whatever stops the process for a while; OpenSSL would not try again.
#[derive(Debug)]
pub(crate) struct Steady(TcpStream);

pub(crate) fn tcp(address: SocketAddr) -> Steady {
    Steady::new(TcpStream::connect(address).unwrap())
}

impl Steady {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
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

impl Raw {
    /// Connects as a client called localhost wants it, and opens a WebSocket.
    pub(crate) fn connect(address: SocketAddr, connector: &SslConnector) -> Self {
        let stream = connector.connect("localhost", tcp(address)).expect("the handshake succeeds");
        let mut raw = Self { stream, input: Cursor::default(), is_client: true };
        raw.open();
        raw
    }

    pub(crate) fn new(stream: SslStream<Steady>) -> Self {
        Self { stream, input: Cursor::default(), is_client: true }
    }

    /// Opens a WebSocket as a client.
    pub(crate) fn open(&mut self) {
        assert_eq!(self.request_status(), 101);
    }

    /// Asks for a WebSocket; returns the status of the answer.
    pub(crate) fn request_status(&mut self) -> u16 {
        let request = Request::from_url(&"wss://localhost/".parse().unwrap()).unwrap();
        let mut head = Vec::new();
        request.format(&mut head).unwrap();
        self.stream.write_all(&head).unwrap();
        self.receive_response()
    }

    /// Receives the answer to a request; returns its status.
    pub(crate) fn receive_response(&mut self) -> u16 {
        loop {
            if let Some(response) = Response::parse(self.input.get_ref()).unwrap() {
                let end =
                    self.input.get_ref().windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
                self.input.set_position(end.try_into().unwrap());
                return response.status();
            }
            assert_eq!(self.fill(), None, "the response is cut");
        }
    }

    /// Accepts one client, and opens a WebSocket with it.
    pub(crate) fn accept(listener: &TcpListener, acceptor: &SslAcceptor) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let stream = acceptor.accept(Steady::new(stream)).expect("the handshake succeeds");
        let mut raw = Self { stream, input: Cursor::default(), is_client: false };
        let request = loop {
            if let Some(request) = Request::parse(raw.input.get_ref()).unwrap() {
                break request;
            }
            assert_eq!(raw.fill(), None, "the request is cut");
        };
        raw.input = Cursor::default();
        let mut head = Vec::new();
        Response::from_request(&request).unwrap().format(&mut head).unwrap();
        raw.stream.write_all(&head).unwrap();
        raw
    }

    pub(crate) fn send(&mut self, mut frame: Frame) {
        if self.is_client {
            frame.set_mask();
        }
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(Frame::message(text.into(), OpCode::Text, true));
    }

    /// Receives a frame.
    pub(crate) fn receive(&mut self) -> Frame {
        loop {
            if let Some(mut frame) = Frame::parse(&mut self.input, 1 << 30).unwrap() {
                frame.remove_mask();
                return frame;
            }
            assert_eq!(self.fill(), None, "a frame is cut");
        }
    }

    pub(crate) fn receive_text(&mut self) -> String {
        String::from_utf8(self.receive().into_data()).unwrap()
    }

    /// Reads until the other end ends.
    pub(crate) fn end(&mut self) -> End {
        loop {
            if let Some(end) = self.fill() {
                return end;
            }
        }
    }

    /// Closes as the protocol wants it.
    pub(crate) fn close(&mut self) -> End {
        self.send(Frame::close(CloseCode::Normal, ""));
        assert_eq!(self.receive().opcode(), OpCode::Close);
        if !self.is_client {
            // The server is the first to go (RFC 6455 §7.1.1).
            self.stream.shutdown().unwrap();
        }
        self.end()
    }

    fn fill(&mut self) -> Option<End> {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.ssl_read(&mut buffer) {
            Ok(len) => {
                let read = usize::try_from(self.input.position()).unwrap();
                self.input.get_mut().drain(..read);
                self.input.set_position(0);
                self.input.get_mut().extend_from_slice(&buffer[..len]);
                None
            }
            Err(err) if err.code() == ErrorCode::ZERO_RETURN => Some(End::Clean),
            Err(err) if err.code() == ErrorCode::SYSCALL && err.io_error().is_none() => Some(End::Cut),
            Err(err) => panic!("reading fails: {err}"),
        }
    }
}

/// Reads from a plain socket until it ends, be it well or not.
pub(crate) fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..len]);
    }
    bytes
}
