//! The options for TLS of `sockeye connect`. `tests/tool/certificates/make` has created the certificates.

use sockeye::{ServerTls, ServerTlsBuilder, TlsEngine, TlsVersion};

use crate::support::{Run, Server, Setup, run};

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/certificates/root.pem");
pub(crate) const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/certificates/server.pem");
pub(crate) const SERVER_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/certificates/server.key");
pub(crate) const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/certificates/client.pem");
pub(crate) const CLIENT_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/certificates/client.key");

fn builder() -> ServerTlsBuilder {
    ServerTls::builder_from_files(SERVER, SERVER_KEY).engine(TlsEngine::Rustls)
}

fn server(tls: ServerTlsBuilder) -> Server {
    Setup { tls: Some(tls.build().expect("valid certificates")), ..Setup::default() }.start()
}

/// Sends a message and receives it again.
fn talk(server: &Server, options: &str) -> Run {
    run(&format!("connect|{}|-x|hi|--max-messages|1|{options}", server.secure_url()), "")
}

fn assert_talks(server: &Server, options: &str) -> Run {
    let done = talk(server, options);
    assert_eq!((done.code, done.text().as_str()), (Some(0), "hi\n"), "{}", done.stderr);
    done
}

#[test]
fn cacert() {
    let server = server(builder());
    assert_talks(&server, &format!("--cacert|{ROOT}"));
    let unknown = talk(&server, "--quiet");
    assert_eq!(unknown.code, Some(4), "{}", unknown.stderr);
    let missing = talk(&server, "--cacert|/does/not/exist.pem");
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
}

#[test]
fn cert() {
    let server = server(builder().require_certificates(ROOT));
    assert_talks(&server, &format!("--cacert|{ROOT}|--cert|{CLIENT}|--key|{CLIENT_KEY}"));
    let anonymous = talk(&server, &format!("--cacert|{ROOT}"));
    assert_eq!(anonymous.code, Some(4), "{}", anonymous.stderr);
}

#[test]
fn key() {
    let server = server(builder().require_certificates(ROOT));
    // This is not the key of the certificate.
    let done = talk(&server, &format!("--cacert|{ROOT}|--cert|{CLIENT}|--key|{SERVER_KEY}"));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let alone = talk(&server, &format!("--cacert|{ROOT}|--key|{CLIENT_KEY}"));
    assert_eq!(alone.code, Some(2), "{}", alone.stderr);
}

#[test]
fn insecure() {
    let server = server(builder());
    assert_talks(&server, "--insecure");
}

#[test]
fn no_sni() {
    let tls = ServerTls::builder_from_files(CLIENT, CLIENT_KEY).engine(TlsEngine::Rustls).name(
        "localhost",
        SERVER,
        SERVER_KEY,
    );
    let server = server(tls);
    assert_talks(&server, &format!("--cacert|{ROOT}"));
    // Without a name, the server presents its first certificate, which is not valid for it.
    let nameless = talk(&server, &format!("--cacert|{ROOT}|--no-sni"));
    assert_eq!(nameless.code, Some(4), "{}", nameless.stderr);
}

#[test]
fn tls_min() {
    let server = server(builder().max_version(TlsVersion::V1_2));
    let done = assert_talks(&server, &format!("--cacert|{ROOT}|--tls-min|1.2"));
    assert!(done.stderr.contains(", TLSv1.2"), "{}", done.stderr);
    assert_eq!(talk(&server, &format!("--cacert|{ROOT}|--tls-min|1.3")).code, Some(4));
}

#[test]
fn tls_max() {
    let server = server(builder().min_version(TlsVersion::V1_3));
    let done = assert_talks(&server, &format!("--cacert|{ROOT}|--tls-max|1.3"));
    assert!(done.stderr.contains(", TLSv1.3"), "{}", done.stderr);
    assert_eq!(talk(&server, &format!("--cacert|{ROOT}|--tls-max|1.2")).code, Some(4));
}
