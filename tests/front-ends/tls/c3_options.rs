//! C3: the options of TLS, in every front end: roots, identity, versions, SNI, and the
//! switches that make it careless.

use std::net::TcpListener;
use std::thread;

use openssl::pkcs12::Pkcs12;
use openssl::ssl::{NameType, SslAcceptor, SslMethod, SslVerifyMode, SslVersion};
use sockeye::blocking::{Bare, Builder};
use sockeye::{ClientTls, ClientTlsBuilder, TlsEngine, TlsVersion};

use crate::loops::{polite, visit};
use sockeye_test_support::authority::{Authority, Folder, Identity, Use, Wish, common_name};
use sockeye_test_support::tls::{client_tls, engine};

/// What a server has seen of a client.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    version: &'static str,
    name: Option<String>,
    client: Option<String>,
}

/// Connects to a URL; returns whether that went well.
type Connect = fn(&str, ClientTls) -> bool;

/// Every front end of this build, and how it connects.
fn front_ends() -> Vec<(&'static str, Connect)> {
    vec![
        ("reactor", |url, tls| visit(url, polite(), Some(tls)).iter().any(|received| received.is_open())),
        ("blocking", |url, tls| sockeye::blocking::Builder::new().client_tls(tls).connect(url).is_ok()),
        #[cfg(feature = "tokio")]
        ("futures", |url, tls| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let builder = sockeye::futures::Builder::new().client_tls(tls);
            runtime.block_on(builder.connect(url)).is_ok()
        }),
    ]
}

/// A server with this certificate, which asks for one if there is an authority for it, for one client.
fn serve(identity: &Identity, clients: Option<&Authority>, newest: Option<SslVersion>) -> Serving {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&identity.certificate).unwrap();
    identity.chain.iter().for_each(|issuer| acceptor.add_extra_chain_cert(issuer.clone()).unwrap());
    acceptor.set_private_key(&identity.key).unwrap();
    acceptor.set_max_proto_version(newest).unwrap();
    if let Some(clients) = clients {
        acceptor.cert_store_mut().add_cert(clients.certificate().clone()).unwrap();
        acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    let (acceptor, listener) = (acceptor.build(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let seen = thread::spawn(move || {
        let stream = acceptor.accept(listener.accept().unwrap().0).ok()?;
        let ssl = stream.ssl();
        let seen = Seen {
            version: ssl.version_str(),
            name: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
            client: ssl.peer_certificate().map(|certificate| common_name(&certificate)),
        };
        let mut socket = Builder::new().server(Bare(stream)).accept().ok()?;
        while let Ok(Some(_)) = socket.receive() {}
        Some(seen)
    });
    Serving { port, seen }
}

struct Serving {
    port: u16,
    seen: thread::JoinHandle<Option<Seen>>,
}

/// What each front end comes to at a server of its own: whether it is in, and what the server has seen.
fn each(
    host: &str,
    serve: impl Fn() -> Serving,
    tls: impl Fn() -> ClientTlsBuilder,
    check: impl Fn(&str, bool, Option<Seen>),
) {
    for (name, connect) in front_ends() {
        let serving = serve();
        let is_in = connect(&format!("wss://{host}:{}/", serving.port), tls().build().unwrap());
        check(name, is_in, serving.seen.join().unwrap());
    }
}

struct Known {
    root: Authority,
    identity: Identity,
    folder: Folder,
}

impl Known {
    fn new(wish: &Wish<'_>) -> Self {
        let root = Authority::root("root");
        Self { identity: root.issue(wish), root, folder: Folder::new() }
    }

    /// A client that trusts only the root.
    fn trusting(&self) -> ClientTlsBuilder {
        client_tls().trust_none().trust_pem(self.root.certificate().to_pem().unwrap())
    }
}

#[test]
fn c3_only_configured_roots_are_trusted() {
    let known = Known::new(&Wish::default());
    let serve = || serve(&known.identity, None, None);
    each("localhost", serve, || known.trusting(), |name, is_in, _| assert!(is_in, "{name}"));
    // The roots of the system are not trusted either.
    each("localhost", serve, || client_tls().trust_none(), |name, is_in, _| assert!(!is_in, "{name}"));
    assert!(client_tls().trust_pem(b"nothing").build().is_err());
}

#[test]
fn c3_a_client_certificate_is_loaded_from_files_or_pkcs12() {
    let known = Known::new(&Wish::default());
    let clients = Authority::root("root of clients");
    let alice = clients.issue(&Wish { names: &["alice"], usage: Use::Client, ..Wish::default() });
    let (chain, key) = alice.write(&known.folder);
    let mut archive = Pkcs12::builder();
    archive.pkey(&alice.key).cert(&alice.certificate);
    let archive = archive.build2("secret").unwrap().to_der().unwrap();
    let serve = || serve(&known.identity, Some(&clients), None);
    let is_alice = |name: &str, is_in: bool, seen: Option<Seen>| {
        assert!(is_in && seen.unwrap().client.as_deref() == Some("alice"), "{name}");
    };
    each("localhost", serve, || known.trusting().certificate(&chain, &key), is_alice);
    if engine() == TlsEngine::OpenSsl {
        each("localhost", serve, || known.trusting().certificate_pkcs12(archive.clone(), "secret"), is_alice);
    }
    each("localhost", serve, || known.trusting(), |name, is_in, _| assert!(!is_in, "{name}"));
    assert!(client_tls().certificate_pkcs12(archive, "guess").build().is_err());
    assert!(client_tls().certificate_pkcs12(b"nothing", "secret").build().is_err());
}

#[test]
fn c3_the_minimum_and_maximum_version_are_enforced() {
    let known = Known::new(&Wish::default());
    let newest = || serve(&known.identity, None, None);
    let older = || serve(&known.identity, None, Some(SslVersion::TLS1_2));
    let oldest = |version| known.trusting().min_version(version);
    each(
        "localhost",
        newest,
        || known.trusting().max_version(TlsVersion::V1_2),
        |name, is_in, seen| {
            assert!(is_in && seen.unwrap().version == "TLSv1.2", "{name}");
        },
    );
    each(
        "localhost",
        newest,
        || oldest(TlsVersion::V1_3),
        |name, is_in, seen| {
            assert!(is_in && seen.unwrap().version == "TLSv1.3", "{name}");
        },
    );
    each("localhost", older, || oldest(TlsVersion::V1_3), |name, is_in, _| assert!(!is_in, "{name}"));
    each("localhost", older, || oldest(TlsVersion::V1_2), |name, is_in, _| assert!(is_in, "{name}"));
}

#[test]
fn c3_the_server_name_can_be_hidden() {
    let known = Known::new(&Wish::default());
    let serve = || serve(&known.identity, None, None);
    each(
        "localhost",
        serve,
        || known.trusting(),
        |name, is_in, seen| {
            assert!(is_in && seen.unwrap().name.as_deref() == Some("localhost"), "{name}");
        },
    );
    each(
        "localhost",
        serve,
        || known.trusting().hide_server_name(),
        |name, is_in, seen| {
            assert!(is_in && seen.unwrap().name.is_none(), "{name}");
        },
    );
}

#[test]
fn c3_any_host_is_accepted_only_on_request() {
    let known = Known::new(&Wish { names: &["other.example"], addresses: &[], ..Wish::default() });
    let serve = || serve(&known.identity, None, None);
    for host in ["localhost", "127.0.0.1"] {
        each(host, serve, || known.trusting(), |name, is_in, _| assert!(!is_in, "{name}"));
        each(
            host,
            serve,
            || known.trusting().danger_accept_any_host(),
            |name, is_in, _| {
                assert!(is_in, "{name}");
            },
        );
        // Somebody must vouch for it all the same.
        let careless = || client_tls().trust_none().danger_accept_any_host();
        each(host, serve, careless, |name, is_in, _| assert!(!is_in, "{name}"));
    }
}

#[test]
fn c3_any_certificate_is_accepted_only_on_request() {
    let known = Known::new(&Wish { names: &["other.example"], valid: -5..-1, ..Wish::default() });
    let serve = || serve(&known.identity, None, None);
    each("localhost", serve, || known.trusting(), |name, is_in, _| assert!(!is_in, "{name}"));
    let careless = || client_tls().danger_accept_any_certificate();
    each("localhost", serve, careless, |name, is_in, _| assert!(is_in, "{name}"));
}
