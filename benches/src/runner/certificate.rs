//! A certificate for the servers that speak TLS, made by the `openssl` command.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// The names of the files, beside the programs.
pub const CERTIFICATE: &str = "certificate.pem";
/// As above.
pub const KEY: &str = "key.pem";

/// Makes a certificate and a key, in the folder of the programs.
///
/// # Errors
///
/// If there is no `openssl` command, or it fails.
pub fn make(folder: &Path) -> Result<()> {
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    let status = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "7",
        ])
        .args(["-subj", "/CN=localhost", "-out"])
        .arg(certificate)
        .arg("-keyout")
        .arg(key)
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err("openssl made no certificate".into()) }
}
