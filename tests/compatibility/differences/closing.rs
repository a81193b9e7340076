//! How connections end: after our Close nothing more, every code that may be sent is taken, too large is 1009.

use std::sync::mpsc;

use ws::{CloseCode, Error, ErrorKind, Frame, Handler, Message, OpCode, Result, Sender, Settings};

use crate::failures::{Hook, is_dropped};
use crate::support::{Peer, Server, guarded};

/// Records its calls, and does what messages ask for.
struct Told {
    out: Sender,
    tx: mpsc::Sender<String>,
}

impl Handler for Told {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.tx.send(format!("message {msg}")).unwrap();
        match msg.as_text()? {
            "close" => self.out.close(CloseCode::Normal),
            "custom" => Err(Error::new(ErrorKind::Custom("harmless".into()), "")),
            _ => self.out.send(msg),
        }
    }

    fn on_close(&mut self, code: CloseCode, reason: &str) {
        self.tx.send(format!("close {code:?} {reason}")).unwrap();
    }

    fn on_error(&mut self, err: Error) {
        self.tx.send(format!("error {:?}", err.kind)).unwrap();
    }
}

fn serve(settings: Settings) -> (Server, mpsc::Receiver<String>) {
    let (tx, rx) = mpsc::channel();
    (Server::run_with(settings, || move |out| Told { out, tx: tx.clone() }), rx)
}

fn text(text: &str) -> Frame {
    Frame::message(text.into(), OpCode::Text, true)
}

#[test]
fn no_message_is_received_after_the_local_close() {
    guarded(|| {
        let (server, rx) = serve(Settings::default());
        let mut peer = Peer::open(server.addr);
        peer.send(text("close"));
        peer.send(text("too late"));
        assert_eq!(peer.close_code(), Some(1000));
        peer.send(text("much too late"));
        peer.send(Frame::close(CloseCode::Normal, ""));
        assert!(peer.next_frame().is_none());
        drop(peer);
        server.stop();
        assert_eq!(rx.iter().collect::<Vec<_>>(), ["message close", "close Normal "]);
    });
}

#[test]
fn registered_close_codes_are_accepted() {
    guarded(|| {
        let (server, rx) = serve(Settings::default());
        for code in [1012, 1013, 1014] {
            let mut peer = Peer::open(server.addr);
            peer.send(Frame::close(code.into(), "as registered"));
            assert_eq!(peer.close_code(), Some(code));
            assert_eq!(rx.recv().unwrap(), format!("close {:?} as registered", CloseCode::from(code)));
        }
        server.stop();
        assert_eq!(rx.recv().ok(), None);
    });
}

#[test]
fn a_protocol_violation_is_an_error_and_then_an_abnormal_close() {
    guarded(|| {
        let (server, rx) = serve(Settings::default());
        let mut peer = Peer::open(server.addr);
        peer.send(Frame::message(b"no beginning".to_vec(), OpCode::Continue, true));
        assert_eq!(peer.close_code(), Some(1002));
        drop(peer);
        assert_eq!([rx.recv().unwrap(), rx.recv().unwrap()], ["error Protocol", "close Abnormal "]);
        server.stop();
    });
}

#[test]
fn messages_and_frames_over_the_limits_are_closed_with_1009() {
    guarded(|| {
        for settings in [
            Settings { max_message_size: 8, ..Settings::default() },
            Settings { max_fragment_size: 8, ..Settings::default() },
            Settings { in_buffer_grow: false, in_buffer_capacity: 8, ..Settings::default() },
        ] {
            let (server, rx) = serve(settings);
            let mut peer = Peer::open(server.addr);
            peer.send(text("8 bytes!"));
            assert_eq!(peer.next_frame().unwrap().into_data(), b"8 bytes!");
            peer.send(text("nine char"));
            assert_eq!(peer.close_code(), Some(1009));
            assert_eq!([rx.recv().unwrap(), rx.recv().unwrap()], ["message 8 bytes!", "error Capacity"]);
            drop(peer);
            server.stop();
        }
    });
}

/// `ws` leaves what arrived together with the message lying until something else arrives.
#[test]
fn a_custom_error_does_not_delay_the_next_message() {
    guarded(|| {
        let (server, _rx) = serve(Settings::default());
        let mut both = Vec::new();
        for mut frame in [text("custom"), text("and on")] {
            frame.set_mask();
            frame.format(&mut both).unwrap();
        }
        let mut peer = Peer::open(server.addr);
        peer.send(&both);
        assert_eq!(peer.next_frame().unwrap().into_data(), b"and on");
        drop(peer);
        server.stop();
    });
}

/// `ws` waits for the peer to hang up.
#[test]
fn an_io_error_while_sending_drops_the_connection() {
    guarded(|| is_dropped(Hook::SendFrame));
}
