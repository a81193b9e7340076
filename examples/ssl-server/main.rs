//! An encrypted echo server: `with_server_tls` is the only difference from a plain one.
//!
//! ```text
//! cargo run --features rustls --example ssl-server -- [ADDRESS [CHAIN KEY]]
//! cargo run --features rustls --example cli -- wss://127.0.0.1:3012 --insecure
//! ```
//!
//! Press Enter to load a renewed certificate from the same files, while the server is running. `--features ssl` uses OpenSSL
//! instead of rustls.

#[cfg(any(feature = "rustls", feature = "ssl"))]
mod server;
#[path = "../support/mod.rs"]
mod support;

#[cfg(any(feature = "rustls", feature = "ssl"))]
fn main() -> support::Result {
    server::run()
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
fn main() -> support::Result {
    Err(support::Failure::new("ssl-server requires a build with `--features rustls` or `--features ssl`"))
}
