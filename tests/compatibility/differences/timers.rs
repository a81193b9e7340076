//! Timeouts belong to their connection, are exact to the millisecond, and work for broadcasters, too.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use ws::util::Token;
use ws::{CloseCode, Handler, Handshake, Result, Sender};

use crate::support::{Peer, Server, guarded};

/// Schedules a timeout for itself, and closes when one fires.
struct Owner(Sender);

impl Owner {
    fn own(&self) -> Token {
        Token(usize::try_from(self.0.connection_id()).unwrap())
    }
}

impl Handler for Owner {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.0.timeout(300, self.own())?;
        self.0.send(format!("{:?}", self.0.token()))
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.0.close(if event == self.own() { CloseCode::Normal } else { CloseCode::Other(4000) })
    }
}

/// With `ws`, the timeout of a connection fires on its successor in the slot.
#[test]
fn a_timeout_ends_with_its_connection() {
    guarded(|| {
        let server = Server::run(|| Owner);
        let mut peer = Peer::open(server.addr);
        let place = peer.next_frame().unwrap().into_data();
        // Until one gets the place of the first; before that the server may not know yet that it is free.
        loop {
            drop(peer);
            peer = Peer::open(server.addr);
            if peer.next_frame().unwrap().into_data() == place {
                break;
            }
        }
        assert_eq!(peer.close_code(), Some(1000));
        drop(peer);
        server.stop();
    });
}

#[test]
fn a_timeout_of_a_broadcaster_fires_for_every_connection() {
    struct Everywhere(mpsc::Sender<Token>);
    impl Handler for Everywhere {
        fn on_timeout(&mut self, event: Token) -> Result<()> {
            self.0.send(event).unwrap();
            Ok(())
        }
    }
    guarded(|| {
        let (tx, rx) = mpsc::channel();
        let server = Server::run(|| move |_| Everywhere(tx.clone()));
        let peers = [Peer::open(server.addr), Peer::open(server.addr)];
        server.all.timeout(20, Token(7)).unwrap();
        assert_eq!([rx.recv().unwrap(), rx.recv().unwrap()], [Token(7), Token(7)]);
        drop(peers);
        server.stop();
    });
}

/// Five milliseconds, again and again.
struct Metronome {
    out: Sender,
    opened: Instant,
    ticks: u32,
}

impl Handler for Metronome {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.opened = Instant::now();
        self.out.timeout(5, Token(0))
    }

    fn on_timeout(&mut self, _: Token) -> Result<()> {
        self.ticks += 1;
        assert!(self.opened.elapsed() >= Duration::from_millis(5) * self.ticks);
        if self.ticks == 40 {
            // `ws` would need four seconds.
            let late = self.opened.elapsed() > Duration::from_secs(3);
            return self.out.close(if late { CloseCode::Other(4000) } else { CloseCode::Normal });
        }
        self.out.timeout(5, Token(0))
    }
}

#[test]
fn timeouts_are_not_rounded_up_to_100_ms() {
    guarded(|| {
        let server = Server::run(|| |out| Metronome { out, opened: Instant::now(), ticks: 0 });
        sockeye_test_support::assert_once("40 ticks of five milliseconds", || {
            Peer::open(server.addr).close_code() == Some(1000)
        });
        server.stop();
    });
}
