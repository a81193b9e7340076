//! The client of a SOCKS5 proxy (RFC 1928), with the method username/password (RFC 1929).
//!
//! ```text
//! client                                        proxy
//! version, methods               ──▶
//!                                ◀──   version, method
//! user, password                 ──▶                        only for method 2
//!                                ◀──   version, status
//! version, CONNECT, host, port   ──▶
//!                                ◀──   version, reply, bound address
//! ```

use url::{Host, Url};

use super::Received;
use super::error::ProxyFailure;
use super::server::{Credentials, MAX_FIELD};

/// The version of the protocol, in every message but those of RFC 1929.
const VERSION: u8 = 5;

/// The version of the negotiation of RFC 1929.
const AUTHENTICATION_VERSION: u8 = 1;

/// The methods (RFC 1928 §3).
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

/// The command (RFC 1928 §4).
const CONNECT: u8 = 1;

/// The types of addresses (RFC 1928 §5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Waits for a message of the proxy.
#[derive(Debug)]
pub(super) struct Socks5 {
    awaited: Awaited,
    /// The bytes of the message until now.
    received: Vec<u8>,
    credentials: Option<Credentials>,
    /// The request that follows the authentication.
    request: Vec<u8>,
}

/// The message that the proxy sends next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Method,
    Status,
    Reply,
}

impl Socks5 {
    /// Writes the greeting. The proxy will connect to the host and port of a URL, and resolve the name.
    pub(super) fn new(
        url: &Url,
        credentials: Option<&Credentials>,
        out: &mut Vec<u8>,
    ) -> Result<Self, ProxyFailure> {
        let request = request(url)?;
        match credentials {
            Some(_) => out.extend_from_slice(&[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD]),
            None => out.extend_from_slice(&[VERSION, 1, NO_AUTHENTICATION]),
        }
        Ok(Self {
            awaited: Awaited::Method,
            received: Vec::new(),
            credentials: credentials.cloned(),
            request,
        })
    }

    /// Processes bytes of the proxy, and writes what the client sends next.
    pub(super) fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Received, ProxyFailure> {
        for (at, byte) in input.iter().enumerate() {
            self.received.push(*byte);
            if self.step(out)? {
                return Ok(Received { len: at + 1, is_done: true });
            }
        }
        Ok(Received { len: input.len(), is_done: false })
    }

    /// Examines the message after each of its bytes. Returns whether the handshake is done.
    fn step(&mut self, out: &mut Vec<u8>) -> Result<bool, ProxyFailure> {
        match (self.awaited, &*self.received) {
            // The version is checked at once: another protocol may never send a second byte.
            (Awaited::Method | Awaited::Reply, [version]) if *version != VERSION => {
                Err(ProxyFailure::NotSocks)
            }
            (Awaited::Status, [version]) if *version != AUTHENTICATION_VERSION => Err(ProxyFailure::NotSocks),
            (Awaited::Method, [_, method]) => self.choose(*method, out).map(|()| false),
            (Awaited::Status, [_, 0]) => {
                self.send_request(out);
                Ok(false)
            }
            (Awaited::Status, [_, _]) => Err(ProxyFailure::Credentials),
            (Awaited::Reply, [_, code]) if *code != 0 => Err(ProxyFailure::Reply(*code)),
            (Awaited::Reply, reply) => Ok(reply_len(reply)? == Some(reply.len())),
            _ => Ok(false),
        }
    }

    /// The proxy has chosen a method.
    fn choose(&mut self, method: u8, out: &mut Vec<u8>) -> Result<(), ProxyFailure> {
        match (method, &self.credentials) {
            (NO_AUTHENTICATION, _) => self.send_request(out),
            (USER_AND_PASSWORD, Some(Credentials { user, password })) => {
                out.push(AUTHENTICATION_VERSION);
                for field in [user, password] {
                    push_field(field, out)?;
                }
                self.expect(Awaited::Status);
            }
            _ => return Err(ProxyFailure::Authentication),
        }
        Ok(())
    }

    fn send_request(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
        self.expect(Awaited::Reply);
    }

    fn expect(&mut self, awaited: Awaited) {
        self.awaited = awaited;
        self.received.clear();
    }
}

/// Returns the request (RFC 1928 §4).
fn request(url: &Url) -> Result<Vec<u8>, ProxyFailure> {
    let mut request = vec![VERSION, CONNECT, 0];
    match url.host() {
        Some(Host::Ipv4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Some(Host::Ipv6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Some(Host::Domain(name)) => {
            request.push(NAME);
            push_field(name.as_bytes(), &mut request)?;
        }
        None => return Err(ProxyFailure::NameTooLong),
    }
    request.extend_from_slice(&url.port_or_known_default().unwrap_or(80).to_be_bytes());
    Ok(request)
}

/// Appends a field behind a byte with its length.
fn push_field(field: &[u8], out: &mut Vec<u8>) -> Result<(), ProxyFailure> {
    let len = u8::try_from(field.len()).map_err(|_| ProxyFailure::NameTooLong)?;
    debug_assert!(field.len() <= MAX_FIELD, "the length fits into a byte");
    out.push(len);
    out.extend_from_slice(field);
    Ok(())
}

/// Returns the length of a reply (RFC 1928 §6), if enough of it is known: version, code, reserved byte, address and port.
fn reply_len(reply: &[u8]) -> Result<Option<usize>, ProxyFailure> {
    let address = match reply {
        [_, _, _, IPV4, ..] => 4,
        [_, _, _, IPV6, ..] => 16,
        [_, _, _, NAME, len, ..] => 1 + usize::from(*len),
        [_, _, _, NAME] | [_, _, _] | [_, _] | [_] | [] => return Ok(None),
        _ => return Err(ProxyFailure::NotSocks),
    };
    Ok(Some(4 + address + 2))
}
