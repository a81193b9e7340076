//! A server with compression. It keeps the context unless the client's offer excludes this, so the load generator
//! decides.

use sockeye::{Deflate, Settings};

pub(crate) fn settings() -> Settings {
    let deflate = Deflate {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..Deflate::default()
    };
    Settings { deflate: Some(deflate), ..crate::settings() }
}
