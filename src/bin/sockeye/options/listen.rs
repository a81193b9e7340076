//! `sockeye listen`.

use std::path::PathBuf;

use clap::Args;

use super::connect::{CompressionOptions, Timing};
use super::messages::{History, Input, OutputOptions};
use super::request::Header;
use super::tls::Credentials;

#[derive(Debug, Args)]
pub(crate) struct ListenOptions {
    /// The address, such as 127.0.0.1:3012 or [::1]:3012. A port alone: on 127.0.0.1. Port 0: any free port
    #[arg(value_parser = address)]
    pub(crate) address: String,
    /// Returns each message to the client
    #[arg(short = 'e', long)]
    pub(crate) echo: bool,
    /// Ends after the first client has disconnected
    #[arg(long)]
    pub(crate) oneshot: bool,
    #[command(flatten)]
    pub(crate) admission: Admission,
    #[command(flatten)]
    pub(crate) tls: ServerTlsOptions,
    #[command(flatten)]
    pub(crate) compression: CompressionOptions,
    #[command(flatten)]
    pub(crate) timing: Timing,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) history: History,
    /// Sends this message to each client once its connection is open; can be repeated
    #[arg(short = 'x', long, value_name = "MESSAGE", help_heading = "Conversation")]
    pub(crate) execute: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Handshake")]
pub(crate) struct Admission {
    /// Sends a header with the response; can be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<Header>,
    /// Accepts browsers with this Origin only; can be repeated
    #[arg(short = 'o', long)]
    pub(crate) origin: Vec<String>,
    /// Supports a subprotocol; can be repeated, in the order of preference
    #[arg(short = 's', long, visible_alias = "protocol", value_name = "NAME")]
    pub(crate) subprotocol: Vec<String>,
    /// Requires this user name and password, with the scheme Basic
    #[arg(long, visible_alias = "auth", value_name = "USER:PASSWORD", conflicts_with = "bearer")]
    pub(crate) basic_auth: Option<String>,
    /// Requires this token, with the scheme Bearer
    #[arg(long, value_name = "TOKEN")]
    pub(crate) bearer: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct ServerTlsOptions {
    #[command(flatten)]
    pub(crate) credentials: Credentials,
    /// Requires certificates of clients that a root in this PEM file has issued
    #[arg(long, visible_alias = "ca", value_name = "FILE", requires = "cert")]
    pub(crate) cacert: Option<PathBuf>,
}

fn address(given: &str) -> Result<String, String> {
    if given.parse::<u16>().is_ok() {
        return Ok(format!("127.0.0.1:{given}"));
    }
    let port = given.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| given.to_owned()).ok_or_else(|| "expected [HOST:]PORT".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_the_loopback_interface() {
        assert_eq!(address("3012").unwrap(), "127.0.0.1:3012");
        assert_eq!(address("[::1]:0").unwrap(), "[::1]:0");
        assert_eq!(address("localhost:80").unwrap(), "localhost:80");
        for wrong in ["", "host", "host:port", "70000"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
