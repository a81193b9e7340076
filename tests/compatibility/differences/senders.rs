//! Senders never block, return an error when the queue is full, and can be queried.

use std::cell::Cell;
use std::sync::mpsc;
use std::thread;

use ws::{
    Builder, CloseCode, ErrorKind, Handler, Handshake, Message, QueueError, Result, Sender, Settings, connect,
};

use crate::support::{Peer, Server, guarded, join};

/// `ws` stands still for good after 500.
#[test]
fn a_callback_can_send_30_000_messages() {
    const MANY: usize = 30_000;
    guarded(|| {
        let server = Server::run(|| {
            |out: Sender| move |msg: Message| (0..MANY).try_for_each(|_| out.send(msg.clone()))
        });
        let count = Cell::new(0);
        connect(server.url(), |out| {
            out.send("again").unwrap();
            let count = &count;
            move |_| {
                count.set(count.get() + 1);
                if count.get() == MANY { out.close(CloseCode::Normal) } else { Ok(()) }
            }
        })
        .unwrap();
        assert_eq!(count.get(), MANY);
        server.stop();
    });
}

#[test]
fn a_full_queue_is_an_immediate_error() {
    guarded(|| {
        let settings = Settings { max_connections: 2, queue_size: 5, ..Settings::default() };
        let socket = Builder::new().with_settings(settings).build(|_| |_| Ok(())).unwrap();
        let out = socket.broadcaster();
        let full = join(thread::spawn(move || {
            (0..10).for_each(|_| out.send("there is room").unwrap());
            out.send("one too many").unwrap_err()
        }));
        assert!(matches!(full.kind, ErrorKind::Queue(QueueError::Full)), "{full:?}");
    });
}

#[test]
fn a_sender_of_an_ended_loop_returns_an_error() {
    guarded(|| {
        let server = Server::run(|| |_| |_| Ok(()));
        let out = server.all.clone();
        server.stop();
        let err = out.send("too late").unwrap_err();
        assert!(matches!(err.kind, ErrorKind::Queue(QueueError::Disconnected)), "{err:?}");
        assert!(!out.is_open());
    });
}

struct Asking {
    out: Sender,
    give: mpsc::Sender<Sender>,
}

impl Handler for Asking {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        assert!(self.out.is_open());
        self.out.try_send("tried")?;
        self.give.send(self.out.clone()).map_err(Box::new)?;
        Ok(())
    }

    fn on_close(&mut self, _: CloseCode, _: &str) {
        assert!(!self.out.is_open());
        assert!(self.out.try_send("too late").is_err());
    }
}

#[test]
fn a_sender_returns_whether_its_connection_is_open() {
    guarded(|| {
        let (give, take) = mpsc::channel();
        let server = Server::run(|| {
            move |out: Sender| {
                assert!(!out.is_open());
                assert!(out.try_send("too early").is_err());
                Asking { out, give: give.clone() }
            }
        });
        let mut peer = Peer::open(server.addr);
        let out = take.recv().unwrap();
        assert_eq!(peer.next_frame().unwrap().into_data(), b"tried");
        assert!(out.is_open());
        peer.send(ws::Frame::close(CloseCode::Normal, ""));
        assert_eq!(peer.close_code(), Some(1000));
        assert!(peer.next_frame().is_none());
        assert!(!out.is_open());
        assert!(out.try_send("nobody").is_err());
        // The end may be seen here before the loop has noted that all is sent.
        while out.buffered_amount() > 0 {
            thread::yield_now();
        }
        // As ever, this is no error.
        out.send("nobody").unwrap();
        drop(peer);
        server.stop();
    });
}
