//! Certificates of servers and clients: by name, on demand, and replaced while the server runs.

use openssl::ssl::{SslMethod, SslVersion};
use sockeye::{ServerTls, Settings, TlsEngine};

use crate::loops::{HandlerCall, Server, echo, is_handshake_error, polite, visit};
use sockeye_test_support::authority::{Authority, Folder, Identity, Use, Wish, common_name};
use sockeye_test_support::tls::{TlsPeer, acceptor, anyone, client_of, client_tls, engine, tcp, trusting};

fn server_tls(identity: &Identity, folder: &Folder) -> ServerTls {
    let (chain, key) = identity.write(folder);
    ServerTls::builder_from_files(chain, key).engine(engine()).build().unwrap()
}

fn serve(tls: ServerTls) -> Server {
    Server::start(echo(), Settings::default(), |socket| socket.with_server_tls(tls))
}

fn url(server: &Server) -> String {
    format!("wss://localhost:{}/", server.address.port())
}

/// The name in the certificate that a server presents for a host.
fn shown(server: &Server, host: &str) -> String {
    let mut connector = anyone().configure().unwrap();
    connector.set_verify_hostname(false);
    let stream = connector.connect(host, tcp(server.address)).unwrap();
    common_name(&stream.ssl().peer_certificate().unwrap())
}

#[test]
fn a_server_loads_its_certificate_from_files() {
    let (root, folder) = (Authority::root("root"), Folder::new());
    let intermediate = root.intermediate("intermediate");
    let server = serve(server_tls(&intermediate.issue(&Wish::default()), &folder));
    let tls = client_of(&root);
    let received = visit(&url(&server), polite(), Some(tls));
    let expected = HandlerCall::Open {
        version: "TLSv1.3",
        peer: Some("localhost".into()),
        name: Some("localhost".into()),
    };
    assert_eq!(received[0], expected);
    assert_eq!(
        server.next(),
        HandlerCall::Open { version: "TLSv1.3", peer: None, name: Some("localhost".into()) }
    );
}

#[test]
fn a_certificate_is_chosen_by_the_server_name() {
    let (root, folder) = (Authority::root("root"), Folder::new());
    let issue = |name| root.issue(&Wish { names: &[name], ..Wish::default() }).write(&folder);
    let ((chain, key), (other_chain, other_key)) = (issue("first.example"), issue("other.example"));
    let tls = ServerTls::builder_from_files(chain, key).engine(engine()).build().unwrap();
    let server = serve(tls.clone());
    assert_eq!(shown(&server, "other.example"), "first.example");
    tls.add_name("Other.Example", &other_chain, &other_key).unwrap();
    assert_eq!(shown(&server, "other.example"), "other.example");
    assert_eq!(shown(&server, "OTHER.example"), "other.example");
    assert_eq!(shown(&server, "unknown.example"), "first.example");
    assert_eq!(shown(&server, "127.0.0.1"), "first.example");
    let ready = ServerTls::from(acceptor(&root.issue(&Wish::default())));
    assert!(ready.add_name("x", &other_chain, &other_key).is_err());
}

#[test]
fn a_certificate_is_replaced_without_dropping_a_connection() {
    let (root, folder) = (Authority::root("root"), Folder::new());
    let issue = |name| root.issue(&Wish { names: &[name], ..Wish::default() });
    let tls = server_tls(&issue("old.example"), &folder);
    let server = serve(tls.clone());
    let mut before = TlsPeer::connect_tls(server.address, &anyone());
    tls.replace(server_tls(&issue("new.example"), &folder));
    assert_eq!(shown(&server, "localhost"), "new.example");
    before.send_text("still here");
    assert_eq!(before.message(), "still here");
    tls.replace(acceptor(&issue("newest.example")));
    assert_eq!(shown(&server, "localhost"), "newest.example");
    // What cannot be read replaces nothing.
    assert!(ServerTls::from_pem_files("missing", "missing").is_err());
    before.send_text("and still");
    assert_eq!(before.message(), "and still");
    before.finish_tls();
}

#[test]
fn a_server_can_require_client_certificates() {
    let (root, folder) = (Authority::root("root"), Folder::new());
    let clients = Authority::root("root of clients");
    let (chain, key) = root.issue(&Wish::default()).write(&folder);
    let client_roots = folder.write("clients.pem", &clients.certificate().to_pem().unwrap());
    let tls = ServerTls::builder_from_files(&chain, &key)
        .require_certificates(&client_roots)
        .engine(engine())
        .build()
        .unwrap();
    tls.add_name("localhost", &chain, &key).unwrap();
    let server = serve(tls);
    let wish = Wish { names: &["alice"], usage: Use::Client, ..Wish::default() };
    let as_who = |identity: &Identity| {
        let (chain, key) = identity.write(&folder);
        let tls = client_tls().trust_only(root.write(&folder)).certificate(chain, key).build().unwrap();
        visit(&url(&server), polite(), Some(tls))
    };
    // By its address, and by a name with a context of its own.
    for host in ["localhost", "127.0.0.1"] {
        let (chain, key) = clients.intermediate("some").issue(&wish).write(&folder);
        let tls = client_tls().trust_only(root.write(&folder)).certificate(chain, key).build().unwrap();
        let received = visit(&format!("wss://{host}:{}", server.address.port()), polite(), Some(tls));
        assert!(received[0].is_open(), "{received:?}");
        let HandlerCall::Open { peer, .. } = server.next() else { panic!("the server opens") };
        assert_eq!(peer.as_deref(), Some("alice"));
        server.wait_for(&HandlerCall::Lost);
    }
    for stranger in [root.issue(&wish), clients.issue(&Wish { valid: -5..-1, ..wish })] {
        let received = as_who(&stranger);
        assert!(!received.iter().any(HandlerCall::is_open), "{received:?}");
        assert!(
            matches!(received[0], HandlerCall::Error("Ssl" | "SslHandshake" | "Io" | "Custom", _)),
            "{received:?}"
        );
        assert_eq!((received.len(), &received[1]), (2, &HandlerCall::Lost));
        assert!(matches!(server.next(), HandlerCall::Error(kind, _) if is_handshake_error(kind)));
        assert_eq!(server.next(), HandlerCall::Lost);
    }
    let nobody = client_of(&root);
    let received = visit(&url(&server), polite(), Some(nobody));
    assert!(!received.iter().any(HandlerCall::is_open), "{received:?}");
    let HandlerCall::Error(kind, text) = server.next() else { panic!("the server receives the error") };
    let reason = match engine() {
        TlsEngine::OpenSsl => "peer did not return a certificate",
        _ => "peer sent no certificates",
    };
    assert!(is_handshake_error(kind) && text.contains(reason), "{kind}: {text}");
}

#[test]
fn alpn_selects_only_http_1_1() {
    let (root, folder) = (Authority::root("root"), Folder::new());
    let server = serve(server_tls(&root.issue(&Wish::default()), &folder));
    let offer = |protocols: &[u8]| {
        let mut connector = trusting(&root);
        if !protocols.is_empty() {
            connector.set_alpn_protos(protocols).unwrap();
        }
        let stream = connector.build().connect("localhost", tcp(server.address)).ok()?;
        Some(stream.ssl().selected_alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(offer(b"\x02h2\x08http/1.1"), Some(Some(b"http/1.1".to_vec())));
    assert_eq!(offer(b""), Some(None));
    assert_eq!(offer(b"\x02h2"), None);

    // Our client offers it.
    let mut listener = openssl::ssl::SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    let identity = root.issue(&Wish::default());
    listener.set_certificate(&identity.certificate).unwrap();
    listener.set_private_key(&identity.key).unwrap();
    listener.set_alpn_select_callback(|_, offered| {
        assert_eq!(offered, b"\x08http/1.1");
        Err(openssl::ssl::AlpnError::NOACK)
    });
    let server = serve(listener.build().into());
    let tls = client_of(&root);
    assert!(visit(&url(&server), polite(), Some(tls))[0].is_open());
}

#[test]
fn only_tls_1_2_and_1_3_are_accepted() {
    let (root, folder) = (Authority::root("root"), Folder::new());
    let server = serve(server_tls(&root.issue(&Wish::default()), &folder));
    let speak = |version: SslVersion| {
        let mut connector = trusting(&root);
        connector.set_min_proto_version(None).unwrap();
        connector.set_max_proto_version(Some(version)).unwrap();
        // OpenSSL itself would not offer the old versions else.
        connector.set_cipher_list("DEFAULT:@SECLEVEL=0").unwrap();
        let mut stream =
            TlsPeer::encrypted(connector.build().connect("localhost", tcp(server.address)).ok()?);
        stream.upgrade();
        stream.send_text("hello");
        assert_eq!(stream.message(), "hello");
        Some(stream.stream.ssl().version_str())
    };
    assert_eq!(speak(SslVersion::TLS1_3), Some("TLSv1.3"));
    assert_eq!(speak(SslVersion::TLS1_2), Some("TLSv1.2"));
    assert_eq!(speak(SslVersion::TLS1_1), None);
}

/// Signals concern the whole process, so this one has its own.
#[cfg(all(feature = "signals", unix))]
#[test]
fn a_hangup_replaces_the_certificate() {
    use std::process::Command;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use sockeye_test_support::{child, wait_until};

    static LOADED: AtomicUsize = AtomicUsize::new(0);
    const NAME: &str = "certificates::a_hangup_replaces_the_certificate";
    if !child::is_child(NAME) {
        return child::start(NAME, "", &[]).finish();
    }
    let (root, folder) = (Authority::root("root"), Folder::new());
    let issue = |name| root.issue(&Wish { names: &[name], ..Wish::default() });
    let tls = server_tls(&issue("old.example"), &folder);
    let server = serve(tls.clone());
    let renewed = server_tls(&issue("new.example"), &folder);
    let load = move || match LOADED.fetch_add(1, SeqCst) {
        0 => ServerTls::from_pem_files("missing", "missing"),
        _ => Ok(renewed.clone()),
    };
    let signals = sockeye::signals::Signals::new(server.everyone(), sockeye::Drain::new());
    let _guard = signals.reload(&tls, load).start().unwrap();
    let hang_up = || {
        let (kill, before) = (format!("kill -HUP {}", std::process::id()), LOADED.load(SeqCst));
        assert!(Command::new("sh").arg("-c").arg(kill).status().unwrap().success());
        wait_until("the closure is called", || LOADED.load(SeqCst) > before);
    };
    hang_up();
    assert_eq!(shown(&server, "localhost"), "old.example", "what cannot be read replaces nothing");
    hang_up();
    wait_until("the certificate is replaced", || shown(&server, "localhost") == "new.example");
}
