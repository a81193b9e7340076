//! A name with an IPv4 and an IPv6 address, of which only one works (RFC 8305).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::mpsc::channel;
use std::thread;

use sockeye::{Message, Sender, WebSocket};
use sockeye_test_support::server::Server;
use sockeye_test_support::unresponsive::Unresponsive;
use sockeye_test_support::{LIMIT, NEVER};

use super::clients::{CLIENTS, Plan};

/// Starts a server on an address.
fn server(address: IpAddr) -> Server {
    let listener = TcpListener::bind((address, 0)).unwrap();
    Server::spawn(|| {
        WebSocket::new(|out: Sender| move |message: Message| out.send(message))?.bind_listener(listener)
    })
}

/// Whether `localhost` has both addresses. tests/proxies/run provides that.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
fn has_both() -> bool {
    let found: Vec<_> = ("localhost", 1).to_socket_addrs().unwrap().collect();
    let has_both = found.iter().any(SocketAddr::is_ipv4) && found.iter().any(SocketAddr::is_ipv6);
    if !has_both {
        eprintln!("SKIPPED: localhost does not have addresses of both families");
    }
    has_both
}

/// Connects all clients to a server on one address of `localhost`, while `occupy` does something with the other one. A wait for the
/// other one would never end.
fn connect_all<T>(occupy: impl Fn(SocketAddr) -> T) {
    if !has_both() {
        return;
    }
    let (ipv4, ipv6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    for (own, other) in [(ipv4, ipv6), (ipv6, ipv4)] {
        let server = server(own);
        let _occupied = occupy((other, server.addr.port()).into());
        let url = format!("ws://localhost:{}/", server.addr.port());
        for (name, client) in CLIENTS {
            let plan = Plan { connect_timeout: NEVER, ..Plan::new(&url) };
            let (sender, outcome) = channel();
            thread::spawn(move || sender.send(client(&plan)));
            let outcome =
                outcome.recv_timeout(LIMIT).expect("the client does not wait for the other address");
            assert_eq!(outcome.unwrap(), "hello", "{name} {own}");
        }
    }
}

#[test]
fn c21_a_silent_address_does_not_prevent_a_connection_to_the_other_one() {
    connect_all(|other| Unresponsive::bind(other).unwrap());
}

#[test]
fn c21_an_address_that_refuses_does_not_prevent_a_connection_to_the_other_one() {
    connect_all(drop);
}
