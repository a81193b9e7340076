//! `rediss` URLs, with each library for TLS.

use std::path::{Path, PathBuf};

use sockeye::cluster::Redis;
use sockeye::{ClientTls, TlsEngine};
use sockeye_test_support::authority::{Authority, Folder, Use, Wish};

use crate::conversation::converse;
use crate::node::Node;
use crate::server::Server;

/// The libraries of this build.
const ENGINES: &[TlsEngine] = &[
    TlsEngine::OpenSsl,
    #[cfg(feature = "rustls")]
    TlsEngine::Rustls,
];

/// Starts a server with a certificate for `localhost`. Returns it with the root of the certificate.
fn start(folder: &Folder, more: &[&str]) -> Option<(Server, PathBuf)> {
    start_with(&Authority::root("Redis root"), folder, more)
}

fn start_with(authority: &Authority, folder: &Folder, more: &[&str]) -> Option<(Server, PathBuf)> {
    let (chain, key) = authority.issue(&Wish { addresses: &["127.0.0.1"], ..Wish::default() }).write(folder);
    let root = authority.write(folder);
    let [chain, key, root_path] = [&chain, &key, &root].map(|path| path.to_str().unwrap());
    let arguments = ["--tls-cert-file", chain, "--tls-key-file", key, "--tls-ca-cert-file", root_path];
    let server = Server::start_tls(&[&arguments, more].concat())?;
    Some((server, root))
}

fn trusting(root: &Path, engine: TlsEngine) -> ClientTls {
    ClientTls::builder().engine(engine).trust_only(root).alpn([]).build().unwrap()
}

#[test]
fn encrypted_connections_work() {
    let folder = Folder::new();
    let Some((server, root)) = start(&folder, &["--tls-auth-clients", "no", "--requirepass", "secret"])
    else {
        return;
    };
    for engine in ENGINES {
        for (host, protocol) in [("127.0.0.1", "resp2"), ("localhost", "resp3")] {
            let url = format!("rediss://:secret@{host}:{}/?protocol={protocol}", server.port);
            converse(Redis::new(url).unwrap().with_client_tls(trusting(&root, *engine)));
        }
    }
}

#[test]
fn a_restart_of_an_encrypted_server_is_noticed() {
    let folder = Folder::new();
    let Some((mut server, root)) = start(&folder, &["--tls-auth-clients", "no"]) else { return };
    for engine in ENGINES {
        let url = format!("rediss://127.0.0.1:{}", server.port);
        let mut node = Node::start(Redis::new(url).unwrap().with_client_tls(trusting(&root, *engine)));
        server.kill();
        node.wait_down();
        server.restart();
        assert_eq!(node.next(), crate::node::Report::Up);
        node.subscribe(&["a"]);
        node.publish("a", b"x");
        assert_eq!(node.message_and_acknowledgment(), ("a".to_owned(), b"x".to_vec(), 1));
    }
}

#[test]
fn wrong_certificates_are_errors_of_the_start() {
    let folder = Folder::new();
    let Some((server, _)) = start(&folder, &["--tls-auth-clients", "no"]) else { return };
    let other = Folder::new();
    let stranger = Authority::root("stranger").write(&other);
    for engine in ENGINES {
        let url = format!("rediss://:secret@127.0.0.1:{}", server.port);
        let broker = Redis::new(url).unwrap().with_client_tls(trusting(&stranger, *engine));
        let Err(err) = Node::try_start(broker) else { panic!("the certificate must not be accepted") };
        let text = err.to_string();
        assert!(text.contains("certificate") || text.contains("UnknownIssuer"), "{engine:?}: {text}");
        assert!(text.contains("127.0.0.1") && !text.contains("secret"), "{engine:?}: {text}");
    }
}

#[test]
fn client_certificates_are_sent() {
    let (authority, folder, own) = (Authority::root("Redis root"), Folder::new(), Folder::new());
    let Some((server, root)) = start_with(&authority, &folder, &["--tls-auth-clients", "yes"]) else {
        return;
    };
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let (chain, key) = authority.issue(&Wish { usage: Use::Client, ..Wish::default() }).write(&own);
    for engine in ENGINES {
        let tls = ClientTls::builder().engine(*engine).trust_only(&root).alpn([]);
        let without = Redis::new(&url).unwrap().with_client_tls(tls.clone().build().unwrap());
        assert!(Node::try_start(without).is_err(), "{engine:?}");
        converse(Redis::new(&url).unwrap().with_client_tls(tls.certificate(&chain, &key).build().unwrap()));
    }
}
