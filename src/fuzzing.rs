//! What the targets in `fuzz` need of the private parts. Only a build with `--cfg fuzzing` contains it.

use crate::error::Result;
use crate::tls::{ClientTls, Received, ServerTls, Session};

/// Runs the event loop on a scripted system. Panics if an invariant does not hold.
pub fn run_reactor(script: &[u8]) {
    crate::reactor::script::run(script);
}

/// Performs the handshake with a proxy. Panics if the result depends on how the replies are split.
pub fn run_proxy_handshake(script: &[u8]) {
    crate::connecting::proxy::script::run(script);
}

/// Passes bytes of a Redis server to sessions of the broker. Panics if they depend on how the bytes are split.
#[cfg(feature = "redis")]
pub fn run_redis_session(script: &[u8]) {
    crate::cluster::run_redis_script(script);
}

/// Runs a node of a cluster on what other nodes, its broker and its program do. Panics if an invariant does not hold.
pub fn run_cluster_node(script: &[u8]) {
    crate::cluster::run_node_script(script);
}

/// One end of a TLS connection, without I/O.
#[derive(Debug)]
pub struct TlsSession(Session);

/// What [`TlsSession::receive`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsReceived {
    /// Plaintext.
    Data(usize),
    /// More input is needed.
    NeedsInput,
    /// Input is left behind records without data.
    Unfinished,
    /// The peer has ended its side.
    Closed,
    /// The transport has ended.
    Truncated,
}

#[expect(missing_docs, clippy::missing_errors_doc, reason = "the methods of `Session`")]
impl TlsSession {
    pub fn client(tls: &ClientTls, host: &str) -> Result<Self> {
        Session::client(tls, host).map(Self)
    }

    pub fn server(tls: &ServerTls) -> Result<Self> {
        Session::server(tls).map(Self)
    }

    pub fn append_input(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.0.input_room();
            let len = room.len().min(bytes.len());
            room[..len].copy_from_slice(&bytes[..len]);
            self.0.add_input(len);
            bytes = &bytes[len..];
        }
        self.0.release_input();
    }

    pub fn end_input(&mut self) {
        self.0.end_input();
    }

    pub fn take_output(&mut self, most: usize) -> Vec<u8> {
        let output = self.0.output();
        let taken = output[..output.len().min(most)].to_vec();
        self.0.consume_output(taken.len());
        self.0.release_output();
        taken
    }

    pub fn output_len(&self) -> usize {
        self.0.output().len()
    }

    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    pub fn handshake(&mut self) -> Result<bool> {
        self.0.handshake()
    }

    pub fn receive(&mut self, plain: &mut [u8]) -> Result<TlsReceived> {
        Ok(match self.0.receive(plain)? {
            Received::Data(len) => TlsReceived::Data(len),
            Received::NeedsInput => TlsReceived::NeedsInput,
            Received::Unfinished => TlsReceived::Unfinished,
            Received::Closed => TlsReceived::Closed,
            Received::Truncated => TlsReceived::Truncated,
        })
    }

    pub fn send(&mut self, plain: &[u8]) -> Result<()> {
        self.0.send(plain)
    }

    pub fn close_notify(&mut self) {
        self.0.close_notify();
    }

    /// The bytes that the buffers own.
    pub fn memory(&mut self) -> usize {
        self.0.memory()
    }
}
