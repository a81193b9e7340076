//! The hosts that are reached without a proxy: the list that `NO_PROXY` contains.

use std::net::IpAddr;

use url::{Host, Url};

/// A list of hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bypass(Vec<Entry>);

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// `None` means every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name in lower case, and the names that end with a dot and this name.
    Name(String),
    /// The addresses whose first bits are those of this one.
    Network(IpAddr, u32),
}

impl Bypass {
    /// Parses a list with commas. Entries that make no sense are left out.
    pub(super) fn parse(list: &str) -> Self {
        Self(list.split(',').filter_map(|entry| Entry::parse(entry.trim())).collect())
    }

    /// Whether the host of a URL is reached directly.
    pub(super) fn contains(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let fits = |entry: &Entry| entry.port.is_none() || entry.port == port;
        url.host().is_some_and(|host| self.0.iter().any(|entry| fits(entry) && entry.hosts.contains(&host)))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        // An IPv6 address contains colons, and so does a port.
        if let Some(hosts) = Hosts::parse(text) {
            return Some(Self { hosts, port: None });
        }
        let (host, port) = text.rsplit_once(':')?;
        Some(Self { hosts: Hosts::parse(host)?, port: Some(port.parse().ok()?) })
    }
}

impl Hosts {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address = address.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(address);
        if let Ok(address) = address.parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.map_or(Some(most), |prefix| prefix.parse().ok())?;
            return (prefix <= most).then_some(Self::Network(address, prefix));
        }
        let name = text.strip_prefix('*').unwrap_or(text);
        let name = name.strip_prefix('.').unwrap_or(name).trim_end_matches('.');
        // The same name as in a URL: in lower case, with punycode.
        match Host::parse(name).ok()? {
            // Old versions of `url` accept an empty name.
            Host::Domain(name) if !name.is_empty() => Some(Self::Name(name)),
            _ => None,
        }
    }

    fn contains(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Name(name), Host::Domain(host)) => {
                let host = host.strip_suffix('.').unwrap_or(host);
                host.strip_suffix(&**name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Network(network, prefix), Host::Ipv4(address)) => {
                is_within((*address).into(), *network, *prefix)
            }
            (Self::Network(network, prefix), Host::Ipv6(address)) => {
                is_within((*address).into(), *network, *prefix)
            }
            _ => false,
        }
    }
}

/// Whether the first bits of two addresses are the same.
fn is_within(address: IpAddr, network: IpAddr, prefix: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differs = one.to_bits() ^ other.to_bits();
            differs.checked_shr(32 - prefix).unwrap_or(0) == 0
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differs = one.to_bits() ^ other.to_bits();
            differs.checked_shr(128 - prefix).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(list: &str, url: &str) -> bool {
        Bypass::parse(list).contains(&url.parse().unwrap())
    }

    #[test]
    fn names_match_with_their_subdomains() {
        for list in [
            "example.com",
            ".example.com",
            "*.example.com",
            "EXAMPLE.com",
            " x , example.com ",
            "example.com.",
        ] {
            for url in [
                "ws://example.com/",
                "wss://EXAMPLE.com:8443/",
                "ws://a.b.example.com/",
                "ws://example.com./",
            ] {
                assert!(contains(list, url), "{list} {url}");
            }
            for url in ["ws://example.org/", "ws://notexample.com/", "ws://example.com.evil.example/"] {
                assert!(!contains(list, url), "{list} {url}");
            }
        }
        assert!(contains("m\u{fc}nchen.example", "ws://m\u{fc}nchen.example/"));
    }

    #[test]
    fn addresses_match_with_their_prefix() {
        for (list, url, expected) in [
            ("192.0.2.1", "ws://192.0.2.1/", true),
            ("192.0.2.1", "ws://192.0.2.2/", false),
            ("10.0.0.0/8", "ws://10.255.0.1/", true),
            ("10.0.0.0/8", "ws://11.0.0.1/", false),
            ("0.0.0.0/0", "ws://192.0.2.1/", true),
            ("0.0.0.0/0", "ws://[::1]/", false),
            ("192.0.2.0/33", "ws://192.0.2.1/", false),
            ("2001:db8::1", "ws://[2001:db8::1]/", true),
            ("[2001:db8::1]", "ws://[2001:db8::1]/", true),
            ("[2001:db8::1]:81", "ws://[2001:db8::1]:81/", true),
            ("[2001:db8::1]:81", "ws://[2001:db8::1]/", false),
            ("fd00::/8", "ws://[fd12::1]/", true),
            ("fd00::/8", "ws://[fe80::1]/", false),
            ("::/0", "ws://[2001:db8::1]/", true),
            ("::1/128", "ws://[::1]/", true),
            // Names are not resolved, and an address is no name.
            ("127.0.0.1", "ws://localhost/", false),
            ("1", "ws://127.0.0.1/", false),
        ] {
            assert_eq!(contains(list, url), expected, "{list} {url}");
        }
    }

    #[test]
    fn ports_and_the_asterisk_match() {
        assert!(contains("*", "ws://example.com/"));
        assert!(contains("a.example, *", "ws://[::1]/"));
        assert!(contains("example.com:80", "ws://example.com/"));
        assert!(contains("example.com:443", "wss://a.example.com/"));
        assert!(!contains("example.com:443", "ws://example.com/"));
        assert!(contains("127.0.0.1:3012", "ws://127.0.0.1:3012/"));
    }

    #[test]
    fn entries_that_make_no_sense_match_nothing() {
        for list in ["", ",", " , ", "example.com:x", "example.com:99999", "10.0.0.0/x", "a b", "/", "."] {
            assert_eq!(Bypass::parse(list), Bypass::default(), "{list}");
        }
    }
}
