//! Options for the request of the opening handshake.

use std::fmt;
use std::str::FromStr;

use clap::Args;

/// A header field of the user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        match given.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err("expected 'NAME: VALUE'".to_owned()),
        }
    }
}

impl fmt::Debug for Header {
    /// The value can be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ...", self.name)
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestOptions {
    /// Sends a header with the request; can be repeated. It replaces the header of that name, such as Host
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<Header>,
    /// Sends this Origin, as a browser does
    #[arg(short = 'o', long)]
    pub(crate) origin: Option<String>,
    /// Offers a subprotocol; can be repeated, in the order of preference
    #[arg(short = 's', long, visible_alias = "protocol", value_name = "NAME")]
    pub(crate) subprotocol: Vec<String>,
    /// Authenticates with the scheme Basic. The user name and password of the URL have the same effect
    #[arg(long, visible_alias = "auth", value_name = "USER:PASSWORD", conflicts_with = "bearer")]
    pub(crate) basic_auth: Option<String>,
    /// Authenticates with the scheme Bearer
    #[arg(long, value_name = "TOKEN")]
    pub(crate) bearer: Option<String>,
    /// Follows up to this many redirects to the same host [without a number: 10]
    #[arg(short = 'L', long, value_name = "NUMBER", num_args = 0..=1, require_equals = true, default_missing_value = "10")]
    pub(crate) location: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let header: Header = " X-A : b: c ".parse().unwrap();
        assert_eq!((header.name.as_str(), header.value.as_str()), ("X-A", "b: c"));
        assert_eq!("X:".parse::<Header>().unwrap().value, "");
        assert_eq!(format!("{header:?}"), "X-A: ...");
        for wrong in ["x", ": x", ""] {
            assert!(wrong.parse::<Header>().is_err(), "{wrong}");
        }
    }
}
