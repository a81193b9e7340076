use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::reactor::common::Common;
use crate::reactor::queue::CommandQueue;
use crate::reactor::system::Native;
use crate::reactor::transport::Socket;

/// Tries the addresses that a name has been resolved to, until a connection is established or all have failed.
fn connect_through(addresses: Vec<SocketAddr>) -> Next<Socket> {
    let settings = crate::Settings { connect_timeout: Duration::from_secs(3600), ..Default::default() };
    let queue = CommandQueue::new(&settings, Common::new(&settings), Box::new(|| {}), Box::new(Instant::now));
    let mut state = LoopState::new(settings, Arc::new(queue), Native::new(&settings).unwrap());
    let redirect = Redirect::new("ws://example.com/".parse().unwrap(), 0);
    let handler = |_: crate::Message| Ok(());
    let mut attempt = ConnectAttempt::new(ConnectionId { slot: 0, serial: 0 }, handler, redirect);
    let Next::Resolve(name) = attempt.start(None, &mut state) else { panic!("the URL has a name") };
    // The result for another name, which an earlier attempt needed.
    let other = ("other.example.com".to_owned(), 80);
    let late = attempt.on_resolved(&other, Ok(vec![([127, 0, 0, 9], 80).into()]), &mut state);
    assert!(matches!(late, Next::Wait));
    let mut events = Native::new_events(8);
    let mut next = attempt.on_resolved(&name, Ok(addresses), &mut state);
    while matches!(next, Next::Wait) {
        let timeout = state.deadlines.until_next(state.now, || state.system.now());
        state.system.poll(&mut events, timeout).unwrap();
        state.begin_turn();
        if !events.is_empty() {
            next = attempt.on_event(&mut state);
        } else if state.deadlines.pop_due(state.now).is_some() {
            next = attempt.on_deadline(&mut state);
        }
    }
    next
}

/// Returns an address that refuses connections. No other socket can listen there while the stream is open.
fn closed_port() -> (TcpStream, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let address = stream.local_addr().unwrap();
    (stream, address)
}

#[test]
fn k7_addresses_are_tried_in_order() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (open, (_stream, closed)) = (listener.local_addr().unwrap(), closed_port());
    for addresses in [vec![open], vec![closed, open], vec![closed, closed, open, closed]] {
        match connect_through(addresses) {
            Next::Connected(socket, _) => assert_eq!(socket.addresses().0, Some(open)),
            next => panic!("{next:?}"),
        }
    }
}

#[test]
fn k8_the_error_of_a_failed_connect_is_that_of_the_last_address() {
    let (_stream, closed) = closed_port();
    for addresses in [vec![closed], vec![closed, closed], vec![]] {
        let expected =
            if addresses.is_empty() { io::ErrorKind::NotFound } else { io::ErrorKind::ConnectionRefused };
        match connect_through(addresses) {
            Next::Failed(Error { kind: ErrorKind::Io(err), details }) => {
                assert_eq!((err.kind(), &*details), (expected, "cannot connect to ws://example.com/"));
            }
            next => panic!("{next:?}"),
        }
    }
}
