//! Compression for the Autobahn test suite.

use sockeye::Deflate;

/// Accepts every parameter that the suite offers, keeps the contexts otherwise, and compresses messages of any size.
#[cfg(feature = "permessage-deflate")]
pub(crate) fn compression() -> Option<Deflate> {
    Some(Deflate {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        threshold: 0,
        ..Deflate::default()
    })
}

#[cfg(not(feature = "permessage-deflate"))]
pub(crate) fn compression() -> Option<Deflate> {
    None
}
