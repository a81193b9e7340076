//! Closures as handlers, closures as factories: the shortest programs.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::thread;

use ws::{CloseCode, Error, ErrorKind, Message, Result, Sender, WebSocket, connect, listen};

use crate::support::{Server, bound, guarded, join};

#[test]
fn closures_implement_an_echo_server_and_its_client() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        let answers = RefCell::new(Vec::new());
        connect(server.url(), |out| {
            out.send("hello").unwrap();
            let answers = &answers;
            move |msg| {
                answers.borrow_mut().push(msg);
                out.close(CloseCode::Normal)
            }
        })
        .unwrap();
        assert_eq!(answers.into_inner(), [Message::text("hello")]);
        server.stop();
    });
}

/// `listen` does not return its port, so the program has to look for one that is free.
#[test]
fn listen_runs_until_a_handler_requests_a_shutdown() {
    guarded(|| {
        let address = Arc::new(Mutex::new(String::new()));
        let listening = Arc::clone(&address);
        let server = thread::spawn(move || {
            // Below the ports that the system gives out, so that no other test can be found there.
            let first = 10_000 + u16::try_from(std::process::id() % 10_000).unwrap();
            let ended = (first..30_000).any(|port| {
                let address = format!("127.0.0.1:{port}");
                listening.lock().unwrap().clone_from(&address);
                listen(address.as_str(), |out| {
                    move |msg: Message| if msg.is_binary() { out.shutdown() } else { out.send(msg) }
                })
                .is_ok()
            });
            assert!(ended);
        });
        let answered = Cell::new(false);
        while !answered.get() {
            let url = format!("ws://{}", address.lock().unwrap());
            // The server may not be there yet; an attempt that fails may or may not be an error to `connect`.
            let _ = connect(url, |out| {
                out.send("are you there").unwrap();
                let answered = &answered;
                move |msg: Message| {
                    assert_eq!(msg.as_text()?, "are you there");
                    answered.set(true);
                    out.send(vec![0])
                }
            });
        }
        join(server);
    });
}

#[test]
fn a_factory_can_be_fn_mut() {
    guarded(|| {
        let mut made = 0;
        let mut socket = WebSocket::new(|out: Sender| {
            made += 1;
            out.send(format!("number {made}")).unwrap();
            move |msg: Message| match msg.as_text()? {
                "number 2" => out.close(CloseCode::Normal),
                _ => out.shutdown(),
            }
        })
        .unwrap()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("ws://{}", socket.local_addr().unwrap());
        socket.connect(url::Url::parse(&url).unwrap()).unwrap();
        drop(socket.run().unwrap());
        assert_eq!(made, 2);
    });
}

fn make_echo(out: Sender) -> impl Fn(Message) -> Result<()> {
    move |msg| out.send(msg)
}

#[test]
fn a_function_can_be_a_factory() {
    guarded(|| {
        let server = Server::run(|| make_echo);
        let got = Cell::new(0);
        connect(server.url(), |out| {
            out.send(&b"four"[..]).unwrap();
            let got = &got;
            move |msg: Message| {
                got.set(msg.len());
                out.close(CloseCode::Away)
            }
        })
        .unwrap();
        assert_eq!(got.get(), 4);
        server.stop();
    });
}

fn not_interested(_: Message) -> Result<()> {
    Ok(())
}

fn enough(_: Message) -> Result<()> {
    Err(Error::new(ErrorKind::Protocol, "one is enough"))
}

#[test]
fn a_function_can_be_a_handler() {
    guarded(|| {
        let deaf = Server::run(|| {
            |out: Sender| {
                out.send("the only one").unwrap();
                not_interested
            }
        });
        connect(deaf.url(), |out| {
            out.send("for nobody").unwrap();
            enough
        })
        .unwrap();
        deaf.stop();
    });
}

#[test]
fn boxed_and_borrowed_closures_can_be_handlers() {
    guarded(|| {
        let server = Server::run(|| {
            |out: Sender| -> Box<dyn Fn(Message) -> Result<()>> {
                if out.connection_id() == 0 {
                    Box::new(move |msg| out.send(msg))
                } else {
                    Box::new(not_interested)
                }
            }
        });
        let got = RefCell::new(None);
        let keep = |msg: Message| {
            got.replace(Some(msg));
            server.all.shutdown()
        };
        connect(server.url(), |out| {
            out.send("kept").unwrap();
            &keep
        })
        .unwrap();
        assert_eq!(got.take(), Some(Message::text("kept")));
        server.wait();
    });
}

#[test]
fn handlers_can_borrow_from_the_stack() {
    guarded(|| {
        let names = [String::from("first"), String::from("second"), String::from("third")];
        let received = RefCell::new(Vec::new());
        let mut next = names.iter();
        let server = Server::run(|| |out: Sender| move |msg| out.send(msg));
        for _ in &names {
            let name = next.next().unwrap();
            connect(server.url(), |out| {
                out.send(name.as_str()).unwrap();
                let received = &received;
                move |msg: Message| {
                    received.borrow_mut().push((name, msg.into_text()?));
                    out.close(CloseCode::Normal)
                }
            })
            .unwrap();
        }
        for (name, text) in received.into_inner() {
            assert_eq!(name, &text);
        }
        server.stop();
    });
}

#[test]
fn one_closure_can_serve_both_roles_on_one_loop() {
    guarded(|| {
        let total = Cell::new(0);
        let mut socket = bound(ws::Settings::default(), |out: Sender| {
            // Both ends start the game and count what they get; ten is enough.
            out.send("1").unwrap();
            let total = &total;
            move |msg: Message| {
                total.set(total.get() + msg.as_text()?.parse::<u32>().map_err(Box::new)?);
                if total.get() == 10 { out.shutdown() } else { out.send("1") }
            }
        });
        let url = url::Url::parse(&format!("ws://{}", socket.local_addr().unwrap())).unwrap();
        socket.connect(url).unwrap();
        drop(socket.run().unwrap());
        assert!(total.get() >= 10);
    });
}
