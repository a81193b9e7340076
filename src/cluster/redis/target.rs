//! What the URL of a Redis server contains.

use std::fmt;
use std::path::PathBuf;

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

const DEFAULT_PORT: u16 = 6379;

/// The server, and how a connection logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) login: Login,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp { host: String, port: u16, is_encrypted: bool },
    Unix(PathBuf),
}

/// The first commands of each connection.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: u32,
    pub(super) protocol: Protocol,
}

/// The version of the protocol between clients and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

impl Target {
    /// Parses a URL. The error does not contain the URL, because that can contain a password.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let url = Url::parse(url).map_err(|err| wrong(&err.to_string()))?;
        if url.fragment().is_some() {
            return Err(wrong("a fragment (#) has no meaning; a `#` in a password is written as %23"));
        }
        let target = match url.scheme() {
            "redis" => Self::tcp(&url, false),
            "rediss" => Self::tcp(&url, true),
            "unix" | "redis+unix" => Self::unix(&url),
            _ => Err(wrong("it must begin with redis://, rediss://, unix:// or redis+unix://")),
        }?;
        match &target.login {
            Login { user: Some(_), password: None, .. } => Err(wrong("it has a user, but no password")),
            _ => Ok(target),
        }
    }

    fn tcp(url: &Url, is_encrypted: bool) -> Result<Self> {
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(wrong("it has no host")),
        };
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let mut login = Login {
            user: text(url.username())?,
            password: text(url.password().unwrap_or_default())?,
            database: database(url.path().trim_matches('/'))?,
            protocol: Protocol::default(),
        };
        for (name, value) in url.query_pairs() {
            match &*name {
                "protocol" => login.protocol = protocol(&value)?,
                _ => return Err(wrong("its only parameter is `protocol`")),
            }
        }
        Ok(Self { address: Address::Tcp { host, port, is_encrypted }, login })
    }

    fn unix(url: &Url) -> Result<Self> {
        let path = decoded(url.path())?;
        if url.host_str().is_some_and(|host| !host.is_empty()) || !path.starts_with('/') || path.len() < 2 {
            return Err(wrong("it has no absolute path: unix:///run/redis.sock has one"));
        }
        let mut login = Login::default();
        for (name, value) in url.query_pairs() {
            match &*name {
                "db" => login.database = database(&value)?,
                "user" => login.user = Some(value.into_owned()).filter(|user| !user.is_empty()),
                "pass" => login.password = Some(value.into_owned()).filter(|password| !password.is_empty()),
                "protocol" => login.protocol = protocol(&value)?,
                _ => return Err(wrong("its parameters are `db`, `user`, `pass` and `protocol`")),
            }
        }
        Ok(Self { address: Address::Unix(path.into()), login })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("database", &self.database)
            .field("protocol", &self.protocol)
            .finish()
    }
}

fn wrong(reason: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the URL of the Redis server is invalid: {reason}"))
}

fn database(text: &str) -> Result<u32> {
    if text.is_empty() {
        return Ok(0);
    }
    // A sign is valid for `parse`.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or_else(|| wrong("the database is not a number"))
}

fn protocol(text: &str) -> Result<Protocol> {
    match text {
        "resp2" | "2" => Ok(Protocol::Resp2),
        "resp3" | "3" => Ok(Protocol::Resp3),
        _ => Err(wrong("the protocol is neither resp2 nor resp3")),
    }
}

/// Decodes the user or the password. Returns `None` if it is empty.
fn text(encoded: &str) -> Result<Option<String>> {
    Ok(Some(decoded(encoded)?).filter(|text| !text.is_empty()))
}

/// Decodes `%20` and the like.
fn decoded(encoded: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0).zip(digit(1))) {
            (b'%', Some((high, low))) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong("a part of it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, is_encrypted: bool) -> Address {
        Address::Tcp { host: host.to_owned(), port, is_encrypted }
    }

    fn login(user: &str, password: &str, database: u32, protocol: Protocol) -> Login {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Login { user: text(user), password: text(password), database, protocol }
    }

    #[test]
    fn urls_are_parsed() {
        use Protocol::{Resp2, Resp3};
        for (url, address, login) in [
            ("redis://localhost", tcp("localhost", 6379, false), login("", "", 0, Resp2)),
            ("redis://localhost:7000/", tcp("localhost", 7000, false), login("", "", 0, Resp2)),
            ("rediss://r.example/3", tcp("r.example", 6379, true), login("", "", 3, Resp2)),
            ("redis://:p%40ss@127.0.0.1/0", tcp("127.0.0.1", 6379, false), login("", "p@ss", 0, Resp2)),
            (
                "redis://me:a%20b%zz@[::1]:1?protocol=resp3",
                tcp("::1", 1, false),
                login("me", "a b%zz", 0, Resp3),
            ),
            ("unix:///run/redis.sock", Address::Unix("/run/redis.sock".into()), login("", "", 0, Resp2)),
            (
                "redis+unix:///a%20b?db=2&user=me&pass=s%26t&protocol=3",
                Address::Unix("/a b".into()),
                login("me", "s&t", 2, Resp3),
            ),
        ] {
            assert_eq!(Target::parse(url).unwrap(), Target { address, login }, "{url}");
        }
    }

    #[test]
    fn wrong_urls_are_errors_without_the_password() {
        for (url, reason) in [
            ("http://me:secret@host", "it must begin with redis://"),
            ("secret@host", "relative URL"),
            ("redis://me:secret@host:99999", "invalid port"),
            ("redis://me:secret@", "empty host"),
            ("redis:///5", "it has no host"),
            ("redis:secret", "it has no host"),
            ("redis://me:secret@host/five", "the database is not a number"),
            ("redis://me:secret@host/+5", "the database is not a number"),
            ("redis://me:secret@host/4294967296", "the database is not a number"),
            ("redis://me:secret@host?protocol=secret", "the protocol is neither resp2 nor resp3"),
            ("redis://me:secret@host?pass=secret", "its only parameter is `protocol`"),
            ("redis://me:sec#ret@host", "invalid port"),
            ("redis://host#secret", "a fragment (#)"),
            ("redis://me@host", "it has a user, but no password"),
            ("redis://me:%ff@host", "not UTF-8"),
            ("unix://run/redis.sock?pass=secret", "it has no absolute path"),
            ("unix:redis.sock?pass=secret", "it has no absolute path"),
            ("unix:///?pass=secret", "it has no absolute path"),
            ("unix:///run/redis.sock?password=secret", "its parameters are"),
            ("unix:///run/redis.sock?user=secret", "it has a user, but no password"),
        ] {
            let text = Target::parse(url).unwrap_err().to_string();
            assert!(text.contains(reason), "{url}: {text}");
            assert!(!text.contains("secret"), "{url}: {text}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let target = Target::parse("redis://me:secret@host").unwrap();
        let text = format!("{target:?}");
        assert!(text.contains("***") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn addresses_are_written_as_in_urls() {
        for (url, written) in
            [("redis://h", "h:6379"), ("redis://[::1]:7", "[::1]:7"), ("unix:///run/r", "/run/r")]
        {
            assert_eq!(Target::parse(url).unwrap().address.to_string(), written);
        }
    }
}
