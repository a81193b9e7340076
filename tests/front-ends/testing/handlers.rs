//! Handlers that do what programs do: they answer, look up users, and use other threads.

use std::cell::{Cell, RefCell};
use std::sync::mpsc;
use std::thread;

use sockeye::protocol::{Config, Event};
use sockeye::testing::TestLoop;
use sockeye::util::Token;
use sockeye::{
    CloseCode, DeferredResponse, Factory, Frame, Handler, Handshake, Message, OpCode, Request, Response,
    Result, Sender, SharedMessage,
};

fn echo(out: Sender) -> impl Handler {
    move |msg: Message| out.send(msg)
}

#[test]
fn messages_and_frames_are_exchanged() {
    let kit = TestLoop::new(echo);
    let client = kit.connect("/");
    client.send("text");
    client.send(vec![0, 255]);
    client.send_frame(Frame::message(b"in ".to_vec(), OpCode::Text, false));
    client.send_frame(Frame::ping(b"between".to_vec()));
    client.send_frame(Frame::message(b"fragments".to_vec(), OpCode::Continue, true));
    assert_eq!((client.receive(), client.receive()), ("text".into(), vec![0, 255].into()));
    assert!(matches!(client.receive_event(), Event::Pong(payload) if payload == b"between"));
    assert_eq!((client.receive(), client.try_receive()), ("in fragments".into(), None));
}

#[test]
fn several_clients_are_independent_and_take_turns_in_order() {
    let order = RefCell::new(Vec::new());
    let order = &order;
    let run = || {
        let kit = TestLoop::new(|out: Sender| {
            move |msg: Message| {
                order.borrow_mut().push(msg.to_string());
                out.broadcast(msg)
            }
        });
        let clients: Vec<_> = (0..20).map(|number| kit.connect(&format!("/{number}"))).collect();
        for (number, client) in clients.iter().enumerate().rev() {
            client.send(number.to_string());
        }
        kit.run_until_idle();
        let received = |client: &sockeye::testing::Peer<'_>| -> Vec<String> {
            std::iter::from_fn(|| client.try_receive()).map(|msg| msg.to_string()).collect()
        };
        let all: Vec<_> = clients.iter().map(received).collect();
        assert!(all.iter().all(|one| one.len() == 20 && *one == all[0]));
        (order.take(), all)
    };
    // The same in each run.
    assert_eq!(run(), run());
}

/// A session that another part of the program admits.
struct Session<'t> {
    out: Sender,
    waiting: &'t RefCell<Vec<(DeferredResponse, Request)>>,
    user: String,
}

struct User(String);

impl Handler for Session<'_> {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        self.waiting.borrow_mut().push((self.out.defer()?, req.clone()));
        Ok(Response::deferred())
    }

    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.user = shake.response.data::<User>().map_or_else(String::new, |user| user.0.clone());
        self.out.send(format!("welcome, {}", self.user))
    }
}

/// Looks the session up, as a database would.
fn answer(later: DeferredResponse, req: &Request) -> Result<()> {
    let cookie = req.header("Cookie").map(|value| String::from_utf8_lossy(value).into_owned());
    later.respond(match cookie.as_deref() {
        Some("session=7") => Response::from_request(req)?.with_data(User("Ada".into())),
        _ => Response::new(401, "Unauthorized", b"log in first".to_vec()),
    })
}

#[test]
fn a_cookie_is_checked_with_a_deferred_response() -> Result<()> {
    let waiting = RefCell::default();
    let kit = TestLoop::new(|out| Session { out, waiting: &waiting, user: String::new() });
    let member = kit.client("/chat").header("Cookie", "session=7").open();
    let stranger = kit.client("/chat?room=1").header("Cookie", "session=8").open();
    kit.run_until_idle();
    assert!(!member.is_open() && waiting.borrow().len() == 2);
    for (later, req) in waiting.take() {
        answer(later, &req)?;
    }
    assert_eq!(member.receive(), "welcome, Ada".into());
    let response = stranger.response();
    assert_eq!((response.status(), response.body()), (401, &b"log in first"[..]));
    assert_eq!((stranger.request().resource(), stranger.is_open()), ("/chat?room=1", false));
    Ok(())
}

#[test]
fn without_an_answer_the_client_receives_503() {
    let waiting = RefCell::default();
    let kit = TestLoop::new(|out| Session { out, waiting: &waiting, user: String::new() });
    let client = kit.client("/").open();
    kit.run_until_idle();
    drop(waiting.take());
    assert_eq!(client.response().status(), 503);
}

#[test]
fn a_sender_has_the_effect_of_another_thread_here_and_there() -> Result<()> {
    let (senders, received) = mpsc::channel();
    let kit = TestLoop::new(move |out: Sender| {
        let _ = senders.send(out.clone());
        move |msg: Message| out.send(msg)
    });
    let client = kit.connect("/");
    let Ok(out) = received.recv() else { panic!("the factory sends it") };
    out.send("from the test")?;
    let there = out.clone();
    let joined = thread::spawn(move || there.send("from a thread")).join();
    assert!(joined.is_ok_and(|sent| sent.is_ok()));
    out.send_shared(&SharedMessage::from("shared"))?;
    out.close(CloseCode::Policy)?;
    let texts = [client.receive(), client.receive(), client.receive()];
    assert_eq!(texts, ["from the test".into(), "from a thread".into(), "shared".into()]);
    assert_eq!(client.closed().code, CloseCode::Policy);
    Ok(())
}

/// Counts its handlers, and the topics with subscribers.
struct Counting<'t> {
    alive: &'t Cell<usize>,
    topics: &'t RefCell<Vec<String>>,
}

impl Factory for Counting<'_> {
    type Handler = Box<dyn Fn(Message) -> Result<()>>;

    fn connection_made(&mut self, out: Sender) -> Self::Handler {
        self.alive.set(self.alive.get() + 1);
        Box::new(move |topic| out.subscribe(topic.as_text()?))
    }

    fn connection_lost(&mut self, _: Self::Handler) {
        self.alive.set(self.alive.get() - 1);
    }

    fn topic_opened(&mut self, topic: &str) {
        self.topics.borrow_mut().push(format!("+{topic}"));
    }

    fn topic_closed(&mut self, topic: &str) {
        self.topics.borrow_mut().push(format!("-{topic}"));
    }
}

#[test]
fn factories_are_tested_as_well() -> Result<()> {
    let (alive, topics) = (Cell::new(0), RefCell::default());
    let kit = TestLoop::new(Counting { alive: &alive, topics: &topics });
    let clients = [kit.connect("/"), kit.connect("/")];
    clients.iter().for_each(|client| client.send("news"));
    kit.run_until_idle();
    kit.sender().publish("news", "rain")?;
    assert!(clients.iter().all(|client| client.receive() == "rain".into()));
    let [first, second] = clients;
    first.close(CloseCode::Normal);
    second.abort();
    kit.run_until_idle();
    assert_eq!((alive.get(), topics.take()), (0, vec!["+news".to_owned(), "-news".to_owned()]));
    Ok(())
}

#[test]
fn timeouts_of_handlers_fire_at_their_time() {
    struct Reminder(Sender);

    impl Handler for Reminder {
        fn on_open(&mut self, _: Handshake) -> Result<()> {
            self.0.timeout(2_000, Token(2))?;
            self.0.timeout(1_000, Token(1))
        }

        fn on_timeout(&mut self, token: Token) -> Result<()> {
            self.0.send(format!("timeout {}", token.0))
        }
    }

    let kit = TestLoop::new(Reminder);
    let client = kit.connect("/");
    kit.advance(std::time::Duration::from_secs(1));
    assert_eq!((client.receive(), client.try_receive()), ("timeout 1".into(), None));
    kit.advance(std::time::Duration::from_secs(1));
    assert_eq!(client.receive(), "timeout 2".into());
}

#[test]
fn handlers_that_borrow_the_test_and_its_options_are_accepted() {
    let lengths = RefCell::new(Vec::new());
    let kit = TestLoop::new(|_: Sender| {
        |msg: Message| {
            lengths.borrow_mut().push(msg.len());
            Ok(())
        }
    });
    let config = Config { fragment_size: 7, ..Config::without_timeouts() };
    kit.client("/").config(config).connect().send("a message in fragments");
    kit.run_until_idle();
    assert_eq!(lengths.take(), [22]);
}
