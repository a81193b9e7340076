//! A server over TLS. Environment variables contain the paths of the certificate and of the key.

use std::env;

use sockeye::{Builder, Factory, ServerTls, TlsEngine};

use crate::Result;

pub(crate) fn listen<F: Factory>(address: &str, engine: TlsEngine, factory: F) -> Result<()> {
    let tls = ServerTls::builder_from_files(env::var("BENCH_CERTIFICATE")?, env::var("BENCH_KEY")?);
    let tls = tls.engine(engine).build()?;
    Builder::new().with_settings(crate::settings()).build(factory)?.with_server_tls(tls).listen(address)?;
    Ok(())
}
