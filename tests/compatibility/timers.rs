//! Timeouts: scheduled, announced, fired once, cancelled, scheduled again.

use std::cell::RefCell;
use std::rc::Rc;

use ws::util::{Timeout, Token};
use ws::{CloseCode, Error, ErrorKind, Frame, Handler, Handshake, Message, OpCode, Result, Sender, connect};

use crate::support::{Peer, Server, guarded};

const FIRST: Token = Token(1);
const CANCELLED: Token = Token(2);
const LAST: Token = Token(3);

type Log = Rc<RefCell<Vec<(&'static str, Token)>>>;

struct Timed {
    out: Sender,
    log: Log,
    cancelled: Option<Timeout>,
}

impl Handler for Timed {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.timeout(100, FIRST)?;
        self.out.timeout(200, CANCELLED)
    }

    fn on_new_timeout(&mut self, event: Token, timeout: Timeout) -> Result<()> {
        self.log.borrow_mut().push(("new", event));
        if event == CANCELLED {
            self.cancelled = Some(timeout);
        }
        Ok(())
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        self.log.borrow_mut().push(("fired", event));
        match event {
            FIRST => {
                if let Some(timeout) = self.cancelled.take() {
                    self.out.cancel(timeout)?;
                }
                self.out.timeout(300, LAST)
            }
            LAST => self.out.close(CloseCode::Normal),
            other => Err(Error::new(ErrorKind::Protocol, format!("unexpected {other:?}"))),
        }
    }
}

#[test]
fn a_timeout_fires_once_unless_it_is_canceled() {
    guarded(|| {
        let server = Server::run(|| |_| |_| Ok(()));
        let log = Log::default();
        connect(server.url(), |out| Timed { out, log: Rc::clone(&log), cancelled: None }).unwrap();
        let expected = [("new", FIRST), ("new", CANCELLED), ("fired", FIRST), ("new", LAST), ("fired", LAST)];
        assert_eq!(*log.borrow(), expected);
        server.stop();
    });
}

const PING: Token = Token(10);
const EXPIRE: Token = Token(11);

/// Pings, and gives up on a peer that stays silent for too long; every frame puts that off.
struct Expiring {
    out: Sender,
    expire: Option<Timeout>,
    pings: u8,
}

impl Handler for Expiring {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.out.timeout(100, PING)?;
        self.out.timeout(300, EXPIRE)
    }

    fn on_new_timeout(&mut self, event: Token, timeout: Timeout) -> Result<()> {
        if event == EXPIRE
            && let Some(old) = self.expire.replace(timeout)
        {
            self.out.cancel(old)?;
        }
        Ok(())
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        match event {
            PING => {
                self.pings += 1;
                self.out.ping(vec![self.pings])?;
                self.out.timeout(100, PING)
            }
            EXPIRE => self.out.close_with_reason(CloseCode::Away, "no sign of life"),
            Token(_) => unreachable!(),
        }
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        if frame.opcode() == OpCode::Pong {
            self.out.timeout(300, EXPIRE)?;
        }
        Ok(Some(frame))
    }
}

#[test]
fn a_peer_that_sends_no_pongs_is_closed() {
    guarded(|| {
        let server = Server::run(|| |out| Expiring { out, expire: None, pings: 0 });
        let mut peer = Peer::open(server.addr);
        let mut pings = 0;
        let close = loop {
            let frame = peer.next_frame().unwrap();
            match frame.opcode() {
                OpCode::Ping => pings += 1,
                _ => break frame,
            }
            // Four answers, then silence.
            if pings <= 4 {
                peer.send(Frame::pong(frame.into_data()));
            }
        };
        assert!(pings > 4, "{pings}");
        assert_eq!(close.payload().as_slice(), Frame::close(CloseCode::Away, "no sign of life").payload());
        drop(peer);
        server.stop();
    });
}

/// Fails when its time has come.
struct Failing(Sender);

impl Handler for Failing {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.timeout(0, Token(msg.len()))
    }

    fn on_timeout(&mut self, event: Token) -> Result<()> {
        assert_eq!(event, Token(5));
        Err(Error::new(ErrorKind::Protocol, "time is up"))
    }

    fn on_error(&mut self, err: Error) {
        assert_eq!(err.details, "time is up");
    }
}

#[test]
fn an_error_from_on_timeout_closes_the_connection() {
    guarded(|| {
        let server = Server::run(|| Failing);
        let mut peer = Peer::open(server.addr);
        peer.send(Frame::message(b"12345".to_vec(), OpCode::Text, true));
        assert_eq!(peer.close_code(), Some(1002));
        drop(peer);
        server.stop();
    });
}
