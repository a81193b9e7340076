//! A client that seals its records itself (RFC 8446 §5.2), to send what OpenSSL would not: key updates by the thousand,
//! and everything at once.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use openssl::ssl::SslVersion;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac::{self, HMAC_SHA256};
use sockeye::{Frame, OpCode, Request};

use sockeye_test_support::tls::{TlsPeer, gullible, tcp};

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const KEY_UPDATE: u8 = 24;

type Secret = [u8; 32];

/// A client after its handshake, whose records go out by hand.
pub(crate) struct Sealed {
    /// For reading.
    pub(crate) raw: TlsPeer,
    keys: Keys,
    sequence: u64,
}

/// What seals the records until the next key update.
struct Keys {
    secret: Secret,
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Sealed {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let log = Arc::new(Mutex::new(String::new()));
        let lines = Arc::clone(&log);
        let mut connector = gullible();
        connector.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap();
        connector.set_ciphersuites("TLS_AES_128_GCM_SHA256").unwrap();
        connector.set_keylog_callback(move |_, line| *lines.lock().unwrap() += &format!("{line}\n"));
        let stream = connector.build().connect("localhost", tcp(address)).unwrap();
        let log = log.lock().unwrap();
        let line = log.lines().find(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")).unwrap();
        let secret = unhex(line.rsplit(' ').next().unwrap());
        Self { raw: TlsPeer::encrypted(stream), keys: Keys::new(secret.try_into().unwrap()), sequence: 0 }
    }

    /// The request of the opening handshake, sealed.
    pub(crate) fn request(&mut self) -> Vec<u8> {
        let mut head = Vec::new();
        Request::from_url(&"wss://localhost/".parse().unwrap()).unwrap().format(&mut head).unwrap();
        self.seal(APPLICATION_DATA, &head)
    }

    /// Opens a WebSocket.
    pub(crate) fn open(&mut self) {
        let request = self.request();
        self.send(&request);
        assert_eq!(self.raw.head().status(), 101);
    }

    /// A message, sealed.
    pub(crate) fn text(&mut self, text: &str) -> Vec<u8> {
        let mut frame = Frame::message(text.into(), OpCode::Text, true);
        frame.set_mask();
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        self.seal(APPLICATION_DATA, &bytes)
    }

    /// New keys from here on (§4.6.3); the other end may be asked for new ones, too.
    pub(crate) fn key_update(&mut self, asks: bool) -> Vec<u8> {
        let record = self.seal(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, u8::from(asks)]);
        self.keys = Keys::new(expand(&self.keys.secret, "traffic upd"));
        self.sequence = 0;
        record
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.raw.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends on a thread of its own, so that this one can read, or not.
    pub(crate) fn send_aside(&self, bytes: Vec<u8>) -> JoinHandle<()> {
        let mut stream: TcpStream = self.raw.stream.get_ref().try_clone().unwrap();
        thread::spawn(move || stream.write_all(&bytes).unwrap())
    }

    /// The other end can still be understood.
    pub(crate) fn check_answers(&mut self) {
        let bytes = self.text("still there?");
        self.send(&bytes);
        assert_eq!(self.raw.message(), "still there?");
    }

    fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut sealed = content.to_vec();
        sealed.push(kind);
        let mut record = vec![APPLICATION_DATA, 3, 3];
        record.extend(u16::try_from(sealed.len() + 16).unwrap().to_be_bytes());
        let mut nonce = self.keys.iv;
        for (byte, part) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= part;
        }
        self.sequence += 1;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.keys.key.seal_in_place_append_tag(nonce, Aad::from(&record), &mut sealed).unwrap();
        record.extend(sealed);
        record
    }
}

impl Keys {
    fn new(secret: Secret) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, &expand::<16>(&secret, "key")).unwrap();
        Self { secret, key: LessSafeKey::new(key), iv: expand(&secret, "iv") }
    }
}

/// HKDF-Expand-Label with an empty context (§7.1), for results that one hash covers.
fn expand<const LEN: usize>(secret: &Secret, label: &str) -> [u8; LEN] {
    let label = format!("tls13 {label}");
    let mut info = u16::try_from(LEN).unwrap().to_be_bytes().to_vec();
    info.push(u8::try_from(label.len()).unwrap());
    info.extend(label.bytes());
    // An empty context, and the number of the only block.
    info.extend([0, 1]);
    let block = hmac::sign(&hmac::Key::new(HMAC_SHA256, secret), &info);
    block.as_ref()[..LEN].try_into().unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
