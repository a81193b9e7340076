//! The TLS configurations for the options.

use std::path::Path;

use sockeye::{ClientTls, ServerTls, TlsEngine};

use crate::exit::Failure;
use crate::options::{ClientTlsOptions, Credentials, Version};

pub(crate) fn client(options: &ClientTlsOptions) -> Result<ClientTls, Failure> {
    let mut tls = ClientTls::builder().engine(TlsEngine::default());
    if let Some(roots) = &options.cacert {
        tls = tls.trust_only(roots);
    }
    if let Credentials { cert: Some(chain), key: Some(key) } = &options.credentials {
        tls = tls.certificate(chain, key);
    }
    if options.insecure {
        tls = tls.danger_accept_any_certificate();
    }
    if options.no_sni {
        tls = tls.hide_server_name();
    }
    tls = tls.min_version(options.tls_min.unwrap_or(Version::V1_2).into());
    if let Some(newest) = options.tls_max {
        tls = tls.max_version(newest.into());
    }
    tls.build().map_err(|err| Failure::failed(err.to_string()))
}

pub(crate) fn server(
    credentials: &Credentials,
    client_roots: Option<&Path>,
) -> Result<Option<ServerTls>, Failure> {
    let Credentials { cert: Some(chain), key: Some(key) } = credentials else { return Ok(None) };
    let mut tls = ServerTls::builder_from_files(chain, key).engine(TlsEngine::default());
    if let Some(roots) = client_roots {
        tls = tls.require_certificates(roots);
    }
    tls.build().map(Some).map_err(|err| Failure::failed(err.to_string()))
}
