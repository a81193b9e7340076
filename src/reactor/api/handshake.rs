//! The opening handshake of a connection, as `Handler::on_open` receives it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::settings::{ProxyPolicy, TrustedProxies};
use crate::error::Result;
use crate::protocol::handshake::{Request, Response};
use crate::tls::Negotiated;

/// The opening handshake of a connection: the request, the response, and the addresses of both ends.
///
/// [`Handler::on_open`](crate::Handler::on_open) receives one. A program can create one with [`new`](Self::new), for
/// example to test its handler without a connection.
///
/// See the examples of [`new`](Self::new) and [`remote_addr`](Self::remote_addr).
#[derive(Debug)]
pub struct Handshake {
    /// The request of the client.
    pub request: Request,
    /// The response of the server.
    pub response: Response,
    /// The address of the peer, or of its client if it has sent one in a PROXY header
    /// ([`Settings::proxy_protocol`](crate::Settings::proxy_protocol)). `None` on a Unix domain socket.
    pub peer_addr: Option<SocketAddr>,
    /// The local address. `None` on a Unix domain socket.
    pub local_addr: Option<SocketAddr>,
    /// Whether the peer is connected over a Unix domain socket.
    pub(crate) is_unix: bool,
    pub(crate) trusted_proxies: ProxyPolicy,
    pub(crate) encryption: Negotiated,
}

impl Handshake {
    /// Creates a handshake from a request and a response, without addresses and without TLS.
    ///
    /// Set [`peer_addr`](Self::peer_addr) and [`local_addr`](Self::local_addr) if the code under test reads them.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::url::Url;
    /// use sockeye::{Handler, Handshake, Request, Response, Result};
    ///
    /// #[derive(Default)]
    /// struct Room {
    ///     name: String,
    /// }
    ///
    /// impl Handler for Room {
    ///     fn on_open(&mut self, shake: Handshake) -> Result<()> {
    ///         self.name = shake.request.resource().trim_start_matches('/').to_owned();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let request = Request::from_url(&Url::parse("ws://localhost/salmon")?)?;
    /// let response = Response::from_request(&request)?;
    /// let mut room = Room::default();
    /// room.on_open(Handshake::new(request, response))?;
    /// assert_eq!(room.name, "salmon");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(request: Request, response: Response) -> Self {
        Self {
            request,
            response,
            peer_addr: None,
            local_addr: None,
            is_unix: false,
            trusted_proxies: ProxyPolicy::Settings(TrustedProxies::None),
            encryption: Negotiated::default(),
        }
    }

    /// Sets the proxies whose headers [`remote_addr`](Self::remote_addr) believes. The event loop sets those of
    /// [`Settings::trusted_proxies`](crate::Settings::trusted_proxies).
    ///
    /// See the example of [`remote_addr`](Self::remote_addr).
    #[must_use]
    pub fn with_trusted_proxies(mut self, trusted_proxies: TrustedProxies) -> Self {
        self.trusted_proxies = ProxyPolicy::Settings(trusted_proxies);
        self
    }

    /// Returns the IP address of the client.
    ///
    /// This is the address of the peer, unless the peer is one of [`Settings::trusted_proxies`]. In that case it is
    /// the last address in `X-Forwarded-For`, or in `Forwarded` (RFC 7239), that is not a trusted proxy. The client
    /// could have forged the addresses before it.
    ///
    /// On a Unix domain socket, the peer has no address. It is trusted if 127.0.0.1 is, and its clients have the addresses that it
    /// sends. Otherwise, and if it sends none, this is `None`.
    ///
    /// [`Settings::trusted_proxies`]: crate::Settings::trusted_proxies
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`](crate::ErrorKind::Encoding) if a trusted proxy sends one of these headers and its value is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handshake, Request, Response, TrustedProxies};
    ///
    /// let mut request = Request::from_url(&"ws://localhost/".parse()?)?;
    /// request.headers_mut().push(("X-Forwarded-For".into(), b"203.0.113.7, 192.0.2.60".to_vec()));
    /// let response = Response::from_request(&request)?;
    /// let mut shake = Handshake::new(request, response);
    /// shake.peer_addr = Some("127.0.0.1:4000".parse()?);
    /// assert_eq!(shake.remote_addr()?.as_deref(), Some("127.0.0.1"));
    ///
    /// // Only the last address was added by the proxy.
    /// let shake = shake.with_trusted_proxies(TrustedProxies::Loopback);
    /// assert_eq!(shake.remote_addr()?.as_deref(), Some("192.0.2.60"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remote_addr(&self) -> Result<Option<String>> {
        let client = match proxy_addr(self.peer_addr, self.is_unix) {
            Some(proxy) if self.trusted_proxies.trusts(proxy) => {
                forwarded_addr(&self.request, &self.trusted_proxies)?
            }
            _ => None,
        };
        Ok(client.or_else(|| self.peer_addr.map(|peer| peer.ip().to_string())))
    }

    /// Returns the TLS version, such as `TLSv1.3`, or `None` if the connection is not encrypted.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Error, ErrorKind, Handler, Handshake, Result};
    ///
    /// /// A service that insists on encryption.
    /// struct Bank;
    ///
    /// impl Handler for Bank {
    ///     fn on_open(&mut self, shake: Handshake) -> Result<()> {
    ///         match shake.tls_version() {
    ///             Some(_) => Ok(()),
    ///             None => Err(Error::new(ErrorKind::Internal, "the connection is not encrypted")),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn tls_version(&self) -> Option<&'static str> {
        self.encryption.version
    }
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
impl Handshake {
    /// Returns the certificate of the peer, in DER. A server always has one. A client has one if the server requested it and
    /// the client sent it. How it was verified depends on the loop's TLS configuration, or on the handler's hook.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Error, ErrorKind, Handler, Handshake, Result};
    ///
    /// /// A connection of a device, which is identified by its certificate.
    /// struct Device {
    ///     certificate: Vec<u8>,
    /// }
    ///
    /// impl Handler for Device {
    ///     fn on_open(&mut self, shake: Handshake) -> Result<()> {
    ///         let none = || Error::new(ErrorKind::Protocol, "the device has sent no certificate");
    ///         self.certificate = shake.peer_certificate().ok_or_else(none)?.to_vec();
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.encryption.peer_certificate.as_deref()
    }

    /// Returns the server name that the client requested (SNI, RFC 6066 §3). It is never an IP address.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Handler, Handshake, Result};
    ///
    /// /// A server for several domains.
    /// #[derive(Default)]
    /// struct Shop {
    ///     domain: Option<String>,
    /// }
    ///
    /// impl Handler for Shop {
    ///     fn on_open(&mut self, shake: Handshake) -> Result<()> {
    ///         self.domain = shake.server_name().map(str::to_owned);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn server_name(&self) -> Option<&str> {
        self.encryption.server_name.as_deref()
    }
}

/// Returns the address that decides whether a peer is a trusted proxy. A peer on a Unix domain socket has none, but it is on the same
/// machine, like 127.0.0.1.
pub(crate) fn proxy_addr(peer: Option<SocketAddr>, is_unix: bool) -> Option<IpAddr> {
    let local = is_unix.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    peer.map(|peer| peer.ip()).or(local)
}

/// Returns the address of a client that trusted proxies have named in a request of one of them.
pub(crate) fn forwarded_addr(request: &Request, trusted: &ProxyPolicy) -> Result<Option<String>> {
    let mut client = None;
    for hop in hops(request)?.iter().rev() {
        client = Some((*hop).to_owned());
        if !hop.parse::<IpAddr>().is_ok_and(|address| trusted.trusts(address)) {
            break;
        }
    }
    Ok(client)
}

/// The addresses that the proxies added to the request, the nearest proxy last.
fn hops(request: &Request) -> Result<Vec<&str>> {
    let forwarded_for = values(request, "X-Forwarded-For")?;
    if !forwarded_for.is_empty() {
        return Ok(forwarded_for.iter().filter_map(|hop| node(hop)).collect());
    }
    let forwarded = values(request, "Forwarded")?;
    Ok(forwarded.iter().filter_map(|element| node(for_parameter(element)?)).collect())
}

/// The elements of a comma-separated header, from all fields of that name.
fn values<'r>(request: &'r Request, name: &str) -> Result<Vec<&'r str>> {
    let mut values = Vec::new();
    for value in request.fields().all_named(name) {
        values
            .extend(std::str::from_utf8(value)?.split(',').map(str::trim).filter(|value| !value.is_empty()));
    }
    Ok(values)
}

/// The `for` parameter of an element of `Forwarded`, such as `for=192.0.2.60;proto=http`.
fn for_parameter(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    })
}

/// The address of a node, without quotes, brackets and port (RFC 7239 §6).
fn node(node: &str) -> Option<&str> {
    let node = node.trim().trim_matches('"');
    if let Some(bracketed) = node.strip_prefix('[') {
        return bracketed.split(']').next();
    }
    let is_v4_with_port = node.matches(':').count() == 1;
    let address = if is_v4_with_port { node.split(':').next()? } else { node };
    (!address.is_empty()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(headers: &str, trusted_proxies: TrustedProxies) -> Handshake {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: x\r\n{headers}\r\n");
        let request = Request::parse(head.as_bytes()).unwrap().unwrap();
        let response = Response::from_request(&request).unwrap();
        let mut handshake = Handshake::new(request, response).with_trusted_proxies(trusted_proxies);
        handshake.peer_addr = Some("127.0.0.1:4000".parse().unwrap());
        handshake
    }

    fn remote(headers: &str, trusted: TrustedProxies) -> String {
        handshake(headers, trusted).remote_addr().unwrap().unwrap()
    }

    #[test]
    fn h14_forwarded_addresses_are_used_only_from_trusted_peers() {
        let header = "X-Forwarded-For: 203.0.113.7\r\n";
        assert_eq!(remote(header, TrustedProxies::None), "127.0.0.1");
        assert_eq!(remote(header, TrustedProxies::Only(&[])), "127.0.0.1");
        for trusted in [TrustedProxies::Loopback, TrustedProxies::Private, TrustedProxies::All] {
            assert_eq!(remote(header, trusted), "203.0.113.7");
        }
        assert_eq!(remote("", TrustedProxies::Loopback), "127.0.0.1");
    }

    #[test]
    fn h14_a_client_cannot_forge_its_address() {
        let forged = "X-Forwarded-For: 198.51.100.1, 203.0.113.7\r\nX-Forwarded-For: 10.0.0.3\r\n";
        assert_eq!(remote(forged, TrustedProxies::Private), "203.0.113.7");
    }

    #[test]
    fn h14_the_forwarded_header_of_rfc_7239_is_parsed() {
        let trusted = TrustedProxies::Loopback;
        assert_eq!(remote("Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43\r\n", trusted), "192.0.2.60");
        assert_eq!(remote("Forwarded: For=\"[2001:db8:cafe::17]:4711\"\r\n", trusted), "2001:db8:cafe::17");
        assert_eq!(remote("Forwarded: for=\"192.0.2.43:47011\"\r\n", trusted), "192.0.2.43");
    }
}
