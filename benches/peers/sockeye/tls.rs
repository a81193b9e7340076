//! Over TLS. The files of certificate and key are named by the environment.

use std::env;

use sockeye::{Builder, Sender, ServerTls};

use crate::Result;

pub(crate) fn listen(address: &str) -> Result<()> {
    let tls = ServerTls::from_pem_files(env::var("BENCH_CERTIFICATE")?, env::var("BENCH_KEY")?)?;
    let factory = |out: Sender| move |message| out.send(message);
    Builder::new().with_settings(crate::settings()).build(factory)?.with_server_tls(tls).listen(address)?;
    Ok(())
}
