//! Senders: cloned, kept in maps, moved to other threads, used too early and too late.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use ws::{CloseCode, Handler, Handshake, Message, Result, Sender, connect};

use crate::support::{Peer, Server, guarded, join};

#[test]
fn messages_sent_before_the_connection_opens_are_delivered_first() {
    struct Early(Sender);
    impl Handler for Early {
        fn on_open(&mut self, _: Handshake) -> Result<()> {
            self.0.send("from on_open")
        }
    }
    guarded(|| {
        let server = Server::run(|| {
            |out: Sender| {
                out.send("from the factory").unwrap();
                out.send(vec![1, 2, 3]).unwrap();
                Early(out)
            }
        });
        let received = RefCell::new(Vec::new());
        connect(server.url(), |out| {
            let received = &received;
            move |msg: Message| {
                received.borrow_mut().push(msg);
                if received.borrow().len() == 3 { out.close(CloseCode::Normal) } else { Ok(()) }
            }
        })
        .unwrap();
        let expected =
            [Message::text("from the factory"), Message::binary([1, 2, 3]), Message::text("from on_open")];
        assert_eq!(received.into_inner(), expected);
        server.stop();
    });
}

#[test]
fn messages_of_each_thread_are_delivered_in_order() {
    const THREADS: usize = 4;
    // All of them fit into `ws`'s queue of 500; over that its server, which answers from a handler, could stand still.
    const EACH: usize = 100;
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let next = RefCell::new([0; THREADS]);
        let threads = RefCell::new(Vec::new());
        connect(server.url(), |out| {
            let senders = (0..THREADS).map(|thread| {
                let out = out.clone();
                thread::spawn(move || (0..EACH).try_for_each(|number| out.send(format!("{thread} {number}"))))
            });
            threads.borrow_mut().extend(senders);
            let next = &next;
            move |msg: Message| {
                let (thread, number) = msg.as_text()?.split_once(' ').unwrap();
                let thread: usize = thread.parse().unwrap();
                assert_eq!(number.parse(), Ok(next.borrow()[thread]));
                next.borrow_mut()[thread] += 1;
                if *next.borrow() == [EACH; THREADS] { out.close(CloseCode::Normal) } else { Ok(()) }
            }
        })
        .unwrap();
        for thread in threads.into_inner() {
            join(thread).unwrap();
        }
        server.stop();
    });
}

/// Gives its sender away as soon as the connection is open.
struct GiveAway {
    out: Sender,
    to: mpsc::Sender<Sender>,
    received: mpsc::Sender<Message>,
}

impl Handler for GiveAway {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.to.send(self.out.clone()).map_err(Box::new)?;
        Ok(())
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.received.send(msg).map_err(Box::new)?;
        Ok(())
    }
}

#[test]
fn a_sender_can_be_used_on_another_thread() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let (to, from) = mpsc::channel();
        let (received, hear) = mpsc::channel();
        let url = server.url();
        let client = thread::spawn(move || {
            connect(url, |out| GiveAway { out, to: to.clone(), received: received.clone() })
        });
        let out = from.recv().unwrap();
        for number in 0..10 {
            out.send(number.to_string()).unwrap();
            assert_eq!(hear.recv().unwrap(), Message::text(number.to_string()));
        }
        out.close_with_reason(CloseCode::Normal, String::from("thank you")).unwrap();
        join(client).unwrap();
        assert!(out.send("the loop has ended").is_err());
        server.stop();
    });
}

#[test]
fn a_sender_of_a_closed_connection_has_no_effect_and_returns_ok() {
    guarded(|| {
        let (to, opened) = mpsc::channel();
        let (received, hear) = mpsc::channel();
        let server = Server::run(|| move |out| GiveAway { out, to: to.clone(), received: received.clone() });
        connect(server.url(), Brief).unwrap();
        let gone = opened.recv().unwrap();
        let mut there = Peer::open(server.addr);
        let staying = opened.recv().unwrap();
        gone.send("into the void").unwrap();
        gone.ping(vec![]).unwrap();
        gone.close(CloseCode::Normal).unwrap();
        staying.send("received").unwrap();
        assert_eq!(there.next_frame().unwrap().into_data(), b"received");
        assert!(hear.try_recv().is_err());
        drop(there);
        server.stop();
    });
}

/// Opens and closes.
struct Brief(Sender);

impl Handler for Brief {
    fn on_open(&mut self, _: Handshake) -> Result<()> {
        self.0.close(CloseCode::Normal)
    }
}

#[test]
fn a_broadcaster_reaches_every_connection_from_any_thread() {
    guarded(|| {
        let (to, opened) = mpsc::channel();
        let (received, _hear) = mpsc::channel();
        let server = Server::run(|| move |out| GiveAway { out, to: to.clone(), received: received.clone() });
        let clients: Vec<_> = (0..5)
            .map(|_| {
                let url = server.url();
                thread::spawn(move || {
                    let received = RefCell::new(Vec::new());
                    connect(url, |out| {
                        let received = &received;
                        move |msg: Message| {
                            received.borrow_mut().push(msg.into_text()?);
                            if received.borrow().len() == 2 { out.close(CloseCode::Normal) } else { Ok(()) }
                        }
                    })
                    .unwrap();
                    received.into_inner()
                })
            })
            .collect();
        let mut members: Vec<Sender> = clients.iter().map(|_| opened.recv().unwrap()).collect();
        let everyone = server.all.clone();
        join(thread::spawn(move || everyone.send("by the broadcaster"))).unwrap();
        members.pop().unwrap().broadcast("by one of them").unwrap();
        for client in clients {
            assert_eq!(join(client), ["by the broadcaster", "by one of them"]);
        }
        server.stop();
    });
}

#[test]
fn a_broadcaster_closes_every_connection() {
    struct Closed(mpsc::Sender<(CloseCode, String)>);
    impl Handler for Closed {
        fn on_close(&mut self, code: CloseCode, reason: &str) {
            self.0.send((code, reason.to_owned())).unwrap();
        }
    }
    guarded(|| {
        let (to, opened) = mpsc::channel();
        let (received, _hear) = mpsc::channel();
        let server = Server::run(|| move |out| GiveAway { out, to: to.clone(), received: received.clone() });
        let (closed, closes) = mpsc::channel();
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let (url, closed) = (server.url(), closed.clone());
                thread::spawn(move || connect(url, |_| Closed(closed.clone())).unwrap())
            })
            .collect();
        clients.iter().for_each(|_| drop(opened.recv().unwrap()));
        server.all.close_with_reason(CloseCode::Restart, "back soon").unwrap();
        clients.into_iter().for_each(join);
        drop(closed);
        for close in closes {
            assert_eq!(close, (CloseCode::Restart, "back soon".to_owned()));
        }
        server.stop();
    });
}

#[test]
#[expect(
    clippy::mutable_key_type,
    reason = "a sender is compared and hashed by its numbers, which do not change"
)]
fn senders_are_keys() {
    guarded(|| {
        let members = Rc::new(RefCell::new(Vec::new()));
        let mut socket = crate::support::bound(ws::Settings::default(), |out: Sender| {
            members.borrow_mut().push(out.clone());
            if out.connection_id() == 0 {
                out.send("x").unwrap();
            }
            move |_| out.shutdown()
        });
        let broadcaster = socket.broadcaster();
        let url = format!("ws://{}", socket.local_addr().unwrap());
        socket.connect(url.parse().unwrap()).unwrap();
        drop(socket.run().unwrap());

        let members = members.borrow();
        let [client, server] = members.as_slice() else { panic!("{members:?}") };
        assert_eq!((client.connection_id(), server.connection_id()), (0, 1));
        assert_ne!(client.token(), server.token());
        assert_ne!(client, server);
        assert_eq!(client, &client.clone());
        assert_eq!(broadcaster.connection_id(), 0);
        assert_ne!(&broadcaster, client);
        let set: HashSet<Sender> = members.iter().chain(members.iter()).cloned().collect();
        assert_eq!(set.len(), 2);
        let names = HashMap::from([(client.clone(), "client"), (server.clone(), "server")]);
        assert_eq!(names[client], "client");
        let by_token: HashMap<_, _> =
            members.iter().map(|member| (member.token(), member.connection_id())).collect();
        assert_eq!(by_token[&server.token()], 1);
    });
}

/// Sends a URL, and the handler of that connection connects there.
#[test]
fn a_handler_can_open_another_connection() {
    guarded(|| {
        let target = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let url: url::Url = target.url().parse().unwrap();
        let answers = Cell::new(0);
        let front = Server::run(|| |out: Sender| move |msg| out.send(msg));
        connect(front.url(), |out| {
            out.send("x").unwrap();
            let (url, answers) = (url.clone(), &answers);
            move |_| {
                answers.set(answers.get() + 1);
                if answers.get() < 3 {
                    out.connect(url.clone())?;
                }
                out.close(CloseCode::Normal)
            }
        })
        .unwrap();
        assert_eq!(answers.get(), 3);
        front.stop();
        target.stop();
    });
}
