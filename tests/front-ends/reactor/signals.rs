//! Signals of the system, which concern the whole process: each test starts a process of its own.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use sockeye::signals::Signals;
use sockeye::{Drain, Message, Sender, WebSocket};
use sockeye_test_support::bytes::masked_close;
use sockeye_test_support::child::{self, Child, print_line};
use sockeye_test_support::peer::{End, Peer};
use sockeye_test_support::{LIMIT, wait_until};

const HOUR: Duration = Duration::from_secs(3600);

/// Starts the server of a test in a separate process. Returns its address as well.
fn start(test: &str) -> (Child, SocketAddr) {
    let child = child::start(test, "", &[]);
    let address = child.line().parse().unwrap();
    (child, address)
}

/// Serves an echo until it is drained. Behaves as a program that handles signals in this way.
fn serve(drain: Drain, change: impl FnOnce(Signals) -> Signals) {
    let socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg)).unwrap();
    let socket = socket.bind("127.0.0.1:0").unwrap();
    let _guard = change(Signals::new(&socket.broadcaster(), drain)).start().unwrap();
    print_line(&socket.local_addr().unwrap().to_string());
    socket.run().unwrap();
    print_line("the loop has ended");
}

/// Opens a connection, which the loop serves.
fn open(address: SocketAddr) -> Peer {
    let mut peer = Peer::open(address);
    peer.echo("hello");
    peer
}

fn expect_close(mut peer: Peer, code: u16) {
    peer.expect_close(code);
    peer.send(&masked_close(code, ""));
    assert_eq!(peer.rest(), (Vec::new(), End::Fin));
}

#[test]
fn a_signal_drains_the_loop() {
    const NAME: &str = "signals::a_signal_drains_the_loop";
    if child::is_child(NAME) {
        return serve(Drain::new().deadline(LIMIT), |signals| signals);
    }
    for signal in ["TERM", "INT"] {
        let (child, address) = start(NAME);
        let peer = open(address);
        child.signal(signal);
        expect_close(peer, 1001);
        assert_eq!(child.line(), "the loop has ended");
        child.finish();
    }
}

#[test]
fn a_second_signal_shuts_the_loop_down() {
    const NAME: &str = "signals::a_second_signal_shuts_the_loop_down";
    if child::is_child(NAME) {
        return serve(Drain::new().over(HOUR).deadline(HOUR), |signals| signals);
    }
    let (child, address) = start(NAME);
    let (first, second) = (open(address), open(address));
    child.signal("TERM");
    expect_close(first, 1001);
    child.signal("INT");
    expect_close(second, 1001);
    assert_eq!(child.line(), "the loop has ended");
    child.finish();
}

#[test]
fn a_third_signal_ends_the_process() {
    const NAME: &str = "signals::a_third_signal_ends_the_process";
    if child::is_child(NAME) {
        let socket = WebSocket::new(|_| {
            |_| -> sockeye::Result<()> {
                print_line("a handler that does not return");
                loop {
                    std::thread::park();
                }
            }
        });
        let socket = socket.unwrap().bind("127.0.0.1:0").unwrap();
        let _guard = Signals::new(&socket.broadcaster(), Drain::new()).start().unwrap();
        print_line(&socket.local_addr().unwrap().to_string());
        socket.run().unwrap();
        return;
    }
    let (child, address) = start(NAME);
    let mut peer = Peer::open(address);
    peer.send_text("block");
    child.line();
    let status = child.end_by(|child| child.signal("INT"));
    assert_eq!(status.signal(), Some(2));
}

#[test]
fn hangups_call_the_closure_of_the_program() {
    const NAME: &str = "signals::hangups_call_the_closure_of_the_program";
    if child::is_child(NAME) {
        let mut count = 0;
        return serve(Drain::new(), |signals| {
            signals.on_hangup(move || {
                count += 1;
                print_line(&format!("hangup {count}"));
                assert!(count > 1, "the first call panics");
            })
        });
    }
    let (child, address) = start(NAME);
    let peer = open(address);
    for count in 1..4 {
        child.signal("HUP");
        while child.line() != format!("hangup {count}") {}
    }
    child.signal("TERM");
    expect_close(peer, 1001);
    while child.line() != "the loop has ended" {}
    child.finish();
}

#[test]
fn without_a_guard_signals_have_their_default_effect() {
    const NAME: &str = "signals::without_a_guard_signals_have_their_default_effect";
    if child::is_child(NAME) {
        for _ in 0..2 {
            let socket = WebSocket::new(|_| |_| Ok(())).unwrap();
            let all = socket.broadcaster();
            let guards = [(); 2].map(|()| Signals::new(&all, Drain::new()).on_hangup(|| {}).start().unwrap());
            wait_until("each guard has a thread", || signal_threads() == 2);
            drop(guards);
            wait_until("the threads have ended", || signal_threads() == 0);
        }
        print_line("127.0.0.1:0");
        loop {
            std::thread::park();
        }
    }
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let (child, _) = start(NAME);
        let status = child.end_by(|child| child.signal(name));
        assert_eq!(status.signal(), Some(number));
    }
}

/// The number of threads of this process that receive signals.
fn signal_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    names.filter(|name| name.trim() == "sockeye-signals").count()
}

#[test]
fn a_drain_that_cannot_be_executed_is_an_error_at_once() {
    let socket = WebSocket::new(|_| |_| Ok(())).unwrap();
    let drain = Drain::new().reason("x".repeat(124));
    assert!(Signals::new(&socket.broadcaster(), drain).start().is_err());
}
