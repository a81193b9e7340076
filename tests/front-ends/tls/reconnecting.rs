//! Clients that connect again to a server whose certificate they do not accept.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sockeye::{Handler, Handshake, Lost, Reconnect, Result, Sender, Settings, WebSocket};

use crate::loops::{PATIENCE, Server, echo};
use sockeye_test_support::authority::{Authority, Wish};
use sockeye_test_support::tls::{client_of, server_of};

struct Client(Sender, mpsc::Sender<String>);

impl Handler for Client {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        let _ = self.1.send("open".to_owned());
        self.0.close(sockeye::CloseCode::Normal)
    }

    fn on_lost(&mut self, lost: &mut Lost) {
        let _ = self.1.send(format!("lost {} {}", lost.attempts(), lost.wait().is_some()));
    }

    fn on_error(&mut self, _: sockeye::Error) {}
}

#[test]
fn a_wrong_certificate_is_tried_again_until_the_server_has_a_valid_one() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let tls = server_of(&other.issue(&Wish::default()));
    let used = tls.clone();
    let server = Server::start(echo(), Settings::default(), |socket| socket.with_server_tls(used));
    let (calls, received) = mpsc::channel();
    let url = format!("wss://localhost:{}/", server.address.port()).parse().unwrap();
    let trusted = client_of(&root);
    let client = thread::spawn(move || {
        let mut socket = WebSocket::new(|out| Client(out, calls.clone())).unwrap().with_client_tls(trusted);
        let waits = Reconnect {
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(5),
            ..Reconnect::default()
        };
        socket.connect_with(url, waits).unwrap();
        drop(socket.run().unwrap());
    });
    for attempt in 0..3 {
        assert_eq!(received.recv_timeout(PATIENCE).unwrap(), format!("lost {attempt} true"));
    }
    tls.replace(server_of(&root.issue(&Wish::default())));
    let last = std::iter::from_fn(|| received.recv_timeout(PATIENCE).ok());
    assert!(last.into_iter().any(|call| call == "open"));
    client.join().unwrap();
}
