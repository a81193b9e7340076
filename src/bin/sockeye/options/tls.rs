//! Options for TLS.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sockeye::TlsVersion;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Version {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

impl From<Version> for TlsVersion {
    fn from(version: Version) -> Self {
        match version {
            Version::V1_2 => Self::V1_2,
            Version::V1_3 => Self::V1_3,
        }
    }
}

/// The certificate of this end.
#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// Presents the certificates in this PEM file, its own first
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The PEM file with the private key of --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct ClientTlsOptions {
    /// Trusts only the root certificates in this PEM file, and not those of the system
    #[arg(long, visible_alias = "ca", value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
    /// Accepts any certificate. Anyone on the network can then impersonate the server
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
    /// Does not send the name of the server (SNI), which is readable on the network
    #[arg(long)]
    pub(crate) no_sni: bool,
    /// The oldest TLS version [default: 1.2]
    #[arg(long, value_name = "VERSION")]
    pub(crate) tls_min: Option<Version>,
    /// The newest TLS version [default: 1.3]
    #[arg(long, value_name = "VERSION")]
    pub(crate) tls_max: Option<Version>,
}
