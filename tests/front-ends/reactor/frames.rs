//! What handlers see of frames, and that messages are the same for those that want to see none.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use sockeye::protocol::Role;
use sockeye::{CloseCode, Frame, Handler, Message, OpCode, Result, Sender};

use sockeye_test_support::peer::{Peer, masked};
use sockeye_test_support::server::Server;

type Seen = Arc<Mutex<Vec<OpCode>>>;

/// FIN, opcode and payload of a frame.
type HandlerCall = (bool, OpCode, Vec<u8>);

/// Sends everything back, and notes the frames it is shown.
struct Echo {
    out: Sender,
    sees_frames: bool,
    seen: Seen,
}

impl Handler for Echo {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.send(msg)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.seen.lock().unwrap().push(frame.opcode());
        Ok(Some(frame))
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.seen.lock().unwrap().push(frame.opcode());
        Ok(Some(frame))
    }

    fn sees_frames(&self) -> bool {
        self.sees_frames
    }
}

/// The same handler with the newer name of the method.
struct EchoWithNewName(Echo);

impl Handler for EchoWithNewName {
    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.0.on_message(msg)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.0.on_frame(frame)
    }

    fn on_send_frame(&mut self, frame: Frame) -> Result<Option<Frame>> {
        self.0.on_send_frame(frame)
    }

    fn wants_frames(&self) -> bool {
        self.0.sees_frames
    }
}

/// Sends all kinds of frames to one end, and returns what comes back.
fn talk(peer: &mut Peer, role: Role, all: &Sender) -> Vec<HandlerCall> {
    let large = vec![7; 60_000];
    for frame in [
        Frame::message(b"whole".to_vec(), OpCode::Text, true),
        Frame::message(b"in ".to_vec(), OpCode::Text, false),
        Frame::ping(b"between".to_vec()),
        Frame::message(b"two".to_vec(), OpCode::Continue, true),
        Frame::message(large, OpCode::Binary, true),
        Frame::message(Vec::new(), OpCode::Binary, true),
    ] {
        say(peer, role, frame);
    }
    let mut received: Vec<_> = (0..5).map(|_| next(peer)).collect();
    for payload in [vec![1; 10], vec![2; 300], vec![3; 20_000]] {
        all.send(payload).unwrap();
        received.push(next(peer));
    }
    say(peer, role, Frame::close(CloseCode::Normal, "enough"));
    received.push(next(peer));
    received
}

/// Sends a frame as this role sends it.
fn say(peer: &mut Peer, role: Role, mut frame: Frame) {
    let mut bytes = Vec::new();
    match role {
        Role::Client => bytes = masked(frame),
        Role::Server => frame.format(&mut bytes).unwrap(),
    }
    peer.stream.write_all(&bytes).unwrap();
}

fn next(peer: &mut Peer) -> HandlerCall {
    let frame = peer.next_frame().unwrap();
    (frame.is_final(), frame.opcode(), frame.payload().clone())
}

/// What a peer receives from a server and from a client, and what their handlers have seen.
fn heard_and_seen<H: Handler + 'static>(
    sees_frames: bool,
    wrap: fn(Echo) -> H,
) -> (Vec<HandlerCall>, Vec<OpCode>) {
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    let server =
        Server::run(move || move |out: Sender| wrap(Echo { out, sees_frames, seen: Arc::clone(&notes) }));
    let mut peer = Peer::open(server.addr);
    let mut received = talk(&mut peer, Role::Client, &server.all);
    drop(peer);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    server.all.connect(url.parse().unwrap()).unwrap();
    let mut peer = Peer::accept(&listener);
    peer.upgrade();
    received.extend(talk(&mut peer, Role::Server, &server.all));
    drop(peer);
    server.stop();
    let seen = seen.lock().unwrap().clone();
    (received, seen)
}

#[test]
fn messages_are_the_same_with_and_without_frame_hooks() {
    let (with, seen) = heard_and_seen(true, |echo| echo);
    assert_eq!(with.len(), 18);
    let count = |seen: &[OpCode], opcode| seen.iter().filter(|one| **one == opcode).count();
    // Of each end: six frames and a Close come; five answers, three broadcasts and a Close go.
    assert_eq!(seen.len(), 2 * (7 + 9));
    assert_eq!(count(&seen, OpCode::Ping), 2);

    let (without, seen) = heard_and_seen(false, |echo| echo);
    assert_eq!(without, with);
    let of_one_end = [OpCode::Ping, OpCode::Pong, OpCode::Close, OpCode::Close];
    assert_eq!(seen, of_one_end.repeat(2), "of messages nothing is shown");
}

#[test]
fn wants_frames_and_sees_frames_have_the_same_effect() {
    let (of_old_name, seen_by_old_name) = heard_and_seen(false, |echo| echo);
    let (of_new_name, seen_by_new_name) = heard_and_seen(false, EchoWithNewName);
    let (of_box, seen_by_box) =
        heard_and_seen(false, |echo| Box::new(EchoWithNewName(echo)) as Box<dyn Handler>);
    assert_eq!((&of_old_name, &of_old_name), (&of_new_name, &of_box));
    assert_eq!((&seen_by_old_name, &seen_by_old_name), (&seen_by_new_name, &seen_by_box));
}
