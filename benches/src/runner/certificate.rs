//! Creates a certificate for the servers with TLS, with the `openssl` command.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// The name of the certificate file in the folder of the programs.
pub const CERTIFICATE: &str = "certificate.pem";
/// The name of the key file in the folder of the programs.
pub const KEY: &str = "key.pem";

/// Creates a certificate and a key in the folder of the programs.
///
/// # Errors
///
/// Returns an error if `openssl` cannot be started or fails.
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
    if status.success() { Ok(()) } else { Err("openssl cannot create a certificate".into()) }
}
