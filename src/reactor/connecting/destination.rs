//! Which address or host a URL names.

use std::net::SocketAddr;

use url::{Host, Url};

use crate::connecting::proxy::ProxyServer;
use crate::error::{Error, ErrorKind, Result, TLS_DISABLED, redacted};
use crate::protocol::handshake::unsupported_scheme;
use crate::tls;

/// Where a client connects to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Address(SocketAddr),
    Host(String, u16),
    #[cfg(unix)]
    Path(String),
}

impl Destination {
    /// The address or host of a proxy.
    pub(super) fn of_proxy(proxy: &ProxyServer) -> Self {
        match proxy.host() {
            Host::Ipv4(address) => Self::Address((*address, proxy.port()).into()),
            Host::Ipv6(address) => Self::Address((*address, proxy.port()).into()),
            Host::Domain(host) => Self::Host(host.clone(), proxy.port()),
        }
    }
}

/// Returns the destination of a URL.
pub(super) fn destination(url: &Url) -> Result<Destination> {
    let port = match url.scheme() {
        "ws" => url.port().unwrap_or(80),
        #[cfg(unix)]
        "ws+unix" => return unix_destination(url),
        "wss" if tls::IS_SUPPORTED => url.port().unwrap_or(443),
        "wss" => return Err(invalid(TLS_DISABLED, url)),
        _ => return Err(unsupported_scheme(url)),
    };
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(Destination::Address((address, port).into())),
        Some(Host::Ipv6(address)) => Ok(Destination::Address((address, port).into())),
        Some(Host::Domain(host)) if !host.is_empty() => Ok(Destination::Host(host.to_owned(), port)),
        _ => Err(invalid("the URL has no host", url)),
    }
}

#[cfg(unix)]
fn unix_destination(url: &Url) -> Result<Destination> {
    let target = crate::protocol::handshake::unix_target(url);
    target
        .map(|(path, _)| Destination::Path(path))
        .ok_or_else(|| invalid("the URL does not contain the path of a socket", url))
}

fn invalid(why: &str, url: &Url) -> Error {
    Error::new(ErrorKind::Protocol, format!("cannot connect to {}: {why}", redacted(url.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Option<Destination> {
        destination(&Url::parse(url).unwrap()).ok()
    }

    #[test]
    fn a_url_contains_an_address_or_a_host() {
        assert_eq!(of("ws://127.0.0.1/x"), Some(Destination::Address("127.0.0.1:80".parse().unwrap())));
        assert_eq!(of("ws://[::1]:3012/x"), Some(Destination::Address("[::1]:3012".parse().unwrap())));
        assert_eq!(of("ws://example.com"), Some(Destination::Host("example.com".to_owned(), 80)));
        assert_eq!(of("http://example.com"), None);
        let encrypted = of("wss://example.com");
        assert_eq!(encrypted, tls::IS_SUPPORTED.then(|| Destination::Host("example.com".to_owned(), 443)));
    }

    #[cfg(unix)]
    #[test]
    fn a_url_contains_the_path_of_a_unix_socket() {
        assert_eq!(of("ws+unix:///run/a.sock:/chat"), Some(Destination::Path("/run/a.sock".to_owned())));
    }

    #[cfg(unix)]
    #[test]
    fn an_error_contains_the_url() {
        let err = destination(&Url::parse("ws+unix:").unwrap()).unwrap_err();
        assert_eq!(
            err.to_string(),
            "cannot connect to ws+unix:: the URL does not contain the path of a socket"
        );
    }
}
