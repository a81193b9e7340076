//! S1: the certificates that a client accepts.

use std::process::Command;

use sockeye::{ServerTls, Settings, TlsEngine};

use crate::loops::{HandlerCall, Server, build, echo, is_handshake_error, polite, visit};
use sockeye_test_support::authority::{Authority, Folder, Identity, Use, Wish};
use sockeye_test_support::tls::{client_of, client_tls, engine, server_of};

fn serve(identity: &Identity) -> Server {
    Server::start(echo(), Settings::default(), |socket| socket.with_server_tls(server_of(identity)))
}

/// The calls of a client that trusts the root, for a server with this certificate at this host.
fn meet(root: &Authority, identity: &Identity, host: &str) -> Vec<HandlerCall> {
    let server = serve(identity);
    visit(&format!("wss://{host}:{}/", server.address.port()), polite(), Some(client_of(root)))
}

/// A reason to reject a certificate, in the words of OpenSSL and of rustls.
type Reason = (&'static str, &'static str);

const WRONG_HOST: Reason = ("hostname mismatch", "not valid for name");
const WRONG_ADDRESS: Reason = ("IP address mismatch", "not valid for name");

fn assert_refused(received: &[HandlerCall], reason: Reason) {
    let [HandlerCall::Error(kind, text), HandlerCall::Lost] = received else {
        panic!("{reason:?}: exactly one error of the handshake must be reported: {received:?}");
    };
    let reason = if engine() == TlsEngine::OpenSsl { reason.0 } else { reason.1 };
    assert!(is_handshake_error(kind) && text.contains(reason), "{reason}: {kind}: {text}");
}

#[test]
fn s1_a_valid_certificate_is_accepted_for_its_names_and_addresses() {
    let root = Authority::root("root");
    let identity = root.issue(&Wish::default());
    for host in ["localhost", "127.0.0.1"] {
        let received = meet(&root, &identity, host);
        assert!(received[0].is_open() && received.len() == 3, "{host}: {received:?}");
    }
    let wild = root.issue(&Wish { names: &["*.localhost"], ..Wish::default() });
    assert_refused(&meet(&root, &wild, "localhost"), WRONG_HOST);
}

#[test]
fn s1_a_trailing_dot_in_the_host_is_ignored() {
    let root = Authority::root("root");
    let server = serve(&root.issue(&Wish::default()));
    let (socket, received) = build(polite(), Settings::default());
    let mut socket = socket.with_client_tls(client_of(&root));
    let stream = std::net::TcpStream::connect(server.address).unwrap();
    socket.connect_stream("wss://localhost./".parse().unwrap(), stream).unwrap();
    drop(socket.run().unwrap());
    let received: Vec<HandlerCall> = received.iter().collect();
    assert!(received[0].is_open() && received.len() == 3, "{received:?}");
}

#[test]
fn s1_an_invalid_certificate_is_rejected_and_reported_once() {
    let root = Authority::root("root");
    let issue = |wish: &Wish<'_>| root.issue(wish);
    let expired = issue(&Wish { valid: -10..-1, ..Wish::default() });
    assert_refused(&meet(&root, &expired, "localhost"), ("certificate has expired", "certificate expired"));
    let early = issue(&Wish { valid: 1..2, ..Wish::default() });
    assert_refused(&meet(&root, &early, "localhost"), ("certificate is not yet valid", "not valid yet"));
    let other = issue(&Wish { names: &["example.com"], ..Wish::default() });
    assert_refused(&meet(&root, &other, "localhost"), WRONG_HOST);
    let elsewhere = issue(&Wish { addresses: &["192.0.2.1"], ..Wish::default() });
    assert_refused(&meet(&root, &elsewhere, "127.0.0.1"), WRONG_ADDRESS);
    let only_name = issue(&Wish { addresses: &[], ..Wish::default() });
    assert_refused(&meet(&root, &only_name, "127.0.0.1"), WRONG_ADDRESS);
    let for_clients = issue(&Wish { usage: Use::Client, ..Wish::default() });
    // The wording of OpenSSL 1.1 and 3 differs.
    assert_refused(&meet(&root, &for_clients, "localhost"), ("certificate purpose", "extended key usage"));
}

#[test]
fn s1_a_chain_must_lead_to_a_trusted_root() {
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate");
    let identity = intermediate.issue(&Wish::default());
    let received = meet(&root, &identity, "localhost");
    assert!(received[0].is_open(), "{received:?}");

    let incomplete = Identity { chain: Vec::new(), ..intermediate.issue(&Wish::default()) };
    assert_refused(
        &meet(&root, &incomplete, "localhost"),
        ("unable to get local issuer certificate", "UnknownIssuer"),
    );
    assert_refused(
        &meet(&Authority::root("root of others"), &identity, "localhost"),
        ("certificate", "UnknownIssuer"),
    );
    let own = Authority::root("localhost").into_identity();
    assert_refused(&meet(&root, &own, "localhost"), ("self", "CaUsedAsEndEntity"));
}

#[test]
fn s1_wss_urls_work_without_configuration() {
    let (root, folder) = (Authority::root("root"), Folder::new());
    let server = serve(&root.issue(&Wish::default()));
    let url = format!("wss://localhost:{}/", server.address.port());
    let connects = |roots: &std::path::Path| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "s1_verification::s1_default_client_process", "--ignored"]);
        child.env("SSL_CERT_FILE", roots).env("TLS_TEST_URL", &url).output().unwrap().status.success()
    };
    assert!(connects(&root.write(&folder)));
    assert!(!connects(&Authority::root("root of others").write(&folder)));
}

#[test]
#[ignore = "the test above runs it, with other trust roots in the environment"]
fn s1_default_client_process() {
    let url = std::env::var("TLS_TEST_URL").unwrap();
    let connected = sockeye::connect(url, |out: sockeye::Sender| {
        out.send("hello").unwrap();
        move |_| out.close(sockeye::CloseCode::Normal)
    });
    assert!(connected.is_ok(), "{connected:?}");
}

#[test]
fn s1_connect_returns_the_verification_error() {
    let server = serve(&Authority::root("root").issue(&Wish::default()));
    let url = format!("wss://localhost:{}/", server.address.port());
    let err = sockeye::connect(url, |_| |_| Ok(())).unwrap_err();
    assert!(matches!(err.kind, sockeye::ErrorKind::Ssl(_)), "{err:?}");
    assert!(err.to_string().contains("unable to get local issuer certificate"), "{err}");
}

#[test]
fn s1_the_error_of_an_unusable_file_contains_its_path() {
    let (root, folder) = (Authority::root("root"), Folder::new());
    let (chain, key) = root.issue(&Wish::default()).write(&folder);
    let (_, foreign) = root.issue(&Wish::default()).write(&folder);
    let err = ServerTls::builder_from_files(&chain, &foreign).engine(engine()).build().unwrap_err();
    assert!(err.to_string().contains(foreign.to_str().unwrap()), "{err}");
    let err = ServerTls::builder_from_files(&key, &key).engine(engine()).build().unwrap_err();
    assert!(err.to_string().contains("certificate chain"), "{err}");
    let err = client_tls().trust("missing.pem").build().unwrap_err();
    assert!(err.to_string().contains("missing.pem"), "{err}");
}
