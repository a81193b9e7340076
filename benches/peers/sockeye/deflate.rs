//! A server with compression. It keeps the context unless the client's offer excludes this, so the load generator
//! decides.

use sockeye::{Deflate, Sender, Settings};

use crate::Result;

pub(crate) fn listen(address: &str) -> Result<()> {
    let deflate = Deflate {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..Deflate::default()
    };
    let settings = Settings { deflate: Some(deflate), ..crate::settings() };
    crate::listen(address, settings, |out: Sender| move |message| out.send(message))
}
