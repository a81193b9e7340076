//! Proxies that are in use elsewhere: squid for HTTP, and microsocks for SOCKS5.

use sockeye::ProxyFailure;

use super::clients::{CLIENTS, Plan};
use super::programs::{Program, packages};
use super::servers::{ENGINES, echo, encrypted_echo, trusting};

/// Connects all clients through a proxy, with and without TLS, to names and addresses.
fn connect_all(proxy: &str) {
    let (plain, encrypted) = (echo(), encrypted_echo());
    for (name, client) in CLIENTS {
        for host in ["127.0.0.1", "localhost"] {
            let url = format!("ws://{host}:{}/", plain.addr.port());
            assert_eq!(client(&Plan::new(&url).through(proxy)).unwrap(), "hello", "{name} {url}");
            let url = format!("wss://{host}:{}/", encrypted.addr.port());
            for engine in ENGINES {
                let plan = Plan { tls: Some(trusting(*engine)), ..Plan::new(&url) };
                assert_eq!(client(&plan.through(proxy)).unwrap(), "hello", "{name} {url} {engine:?}");
            }
        }
    }
}

/// Asserts how a proxy refuses all clients.
fn refuse_all(proxy: &str, url: &str, expected: ProxyFailure) {
    for (name, client) in CLIENTS {
        let failure = client(&Plan::new(url).through(proxy)).unwrap_err();
        assert_eq!(failure.proxy, Some(expected), "{name} {url} {failure:?}");
    }
}

#[test]
fn real_squid() {
    let Some(packages) = packages() else { return };
    let squid = Program::squid(&packages);
    let proxy = |user: &str| format!("http://{user}127.0.0.1:{}", squid.port);
    connect_all(&proxy("user:secret@"));
    let server = echo();
    refuse_all(&proxy(""), &server.url(), ProxyFailure::Status(407));
    refuse_all(&proxy("user:wrong@"), &server.url(), ProxyFailure::Status(407));
    refuse_all(&proxy("user:secret@"), "ws://127.0.0.1:1/", ProxyFailure::Status(403));
    let closed = closed_port();
    refuse_all(&proxy("user:secret@"), &format!("ws://127.0.0.1:{closed}/"), ProxyFailure::Status(503));
}

#[test]
fn real_microsocks() {
    let Some(packages) = packages() else { return };
    let server = echo();
    let open = Program::microsocks(&packages, &[]);
    connect_all(&format!("socks5://127.0.0.1:{}", open.port));
    // It may do without the user and the password that the client has.
    connect_all(&format!("socks5h://user:secret@127.0.0.1:{}", open.port));
    let closed = format!("ws://127.0.0.1:{}/", closed_port());
    refuse_all(&format!("socks5://127.0.0.1:{}", open.port), &closed, ProxyFailure::Reply(5));
    let strict = Program::microsocks(&packages, &["-u", "user", "-P", "secret"]);
    let proxy = |user: &str| format!("socks5://{user}127.0.0.1:{}", strict.port);
    connect_all(&proxy("user:secret@"));
    refuse_all(&proxy(""), &server.url(), ProxyFailure::Authentication);
    refuse_all(&proxy("user:wrong@"), &server.url(), ProxyFailure::Credentials);
}

/// Returns a port of the loopback interface on which nothing listens.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
