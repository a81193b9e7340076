//! The TLS library of the examples.

use sockeye::TlsEngine;

/// Returns the library that the environment variable `SOCKEYE_TEST_ENGINE` names, `openssl` or `rustls`. A build that contains both
/// can so be tested with each of them.
///
/// # Panics
///
/// The build does not contain the library.
pub(crate) fn engine() -> TlsEngine {
    match std::env::var("SOCKEYE_TEST_ENGINE").as_deref() {
        #[cfg(feature = "ssl")]
        Ok("openssl") => TlsEngine::OpenSsl,
        #[cfg(feature = "rustls")]
        Ok("rustls") => TlsEngine::Rustls,
        Ok(other) => panic!("this build does not contain the TLS library {other}"),
        Err(_) => TlsEngine::default(),
    }
}
