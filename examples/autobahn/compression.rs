//! How the programs that the Autobahn test suite examines compress, in a build with `--features permessage-deflate`.

use sockeye::Deflate;

/// The suite tries every parameter: contexts are kept unless it asks for something else, and nothing is too small.
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
