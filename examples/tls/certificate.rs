//! A self-signed certificate for localhost.

use sockeye::{Result, ServerTls};

#[path = "engine.rs"]
mod engine;

/// Returns a configuration for experiments. No client trusts its certificate, and its private key is public.
pub(crate) fn localhost() -> Result<ServerTls> {
    ServerTls::builder_from_pem(include_str!("localhost.pem"), include_str!("localhost.key"))
        .engine(engine::engine())
        .build()
}
