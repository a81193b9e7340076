//! A server over TLS. Environment variables contain the paths of the certificate and of the key.

use std::env;

use sockeye::{Builder, Sender, ServerTls, TlsEngine};

use crate::Result;

pub(crate) fn listen(address: &str, engine: TlsEngine) -> Result<()> {
    let tls = ServerTls::builder_from_files(env::var("BENCH_CERTIFICATE")?, env::var("BENCH_KEY")?);
    let tls = tls.engine(engine).build()?;
    let factory = |out: Sender| move |message| out.send(message);
    Builder::new().with_settings(crate::settings()).build(factory)?.with_server_tls(tls).listen(address)?;
    Ok(())
}
