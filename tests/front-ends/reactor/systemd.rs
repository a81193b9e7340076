//! Sockets that systemd passes to a process, and the notifications that it receives.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Stdio;

use sockeye::protocol::Role;
use sockeye::{Message, Sender, WebSocket, systemd};

use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::child::{self, Child, is_child, print_line};
use sockeye_test_support::peer::{Ending, Peer};
use sockeye_test_support::{LIMIT, streams};

const SERVICE: &str = "systemd::service_process";

/// Shell commands that pass standard input and standard output as the first two sockets.
const PASS: &str = "exec 3<&0 4>&1 </dev/null >/dev/null; export LISTEN_PID=$$";

/// Not a test: a service for the tests below. It prints whether it listens, and runs until it receives "quit".
#[test]
fn service_process() {
    if !is_child(SERVICE) {
        return;
    }
    let factory = |out: Sender| {
        move |msg: Message| match msg.as_text()? {
            "quit" => out.shutdown(),
            _ => out.send(msg),
        }
    };
    let socket = match WebSocket::new(factory).unwrap().bind_systemd() {
        Ok(socket) => socket,
        Err(err) => return print_line(&err.to_string()),
    };
    print_line("listening");
    // The variables are gone, so that no child of the service uses the sockets.
    assert!(WebSocket::new(factory).unwrap().bind_systemd().is_err());
    let is_notifying = systemd::ready().unwrap();
    assert_eq!(systemd::status("one\nline").unwrap(), is_notifying);
    socket.run().unwrap();
    assert_eq!(systemd::stopping().unwrap(), is_notifying);
}

fn start(commands: &str, variables: &[(&str, &str)], files: [OwnedFd; 2]) -> Child {
    child::start_with(SERVICE, commands, variables, files.map(Stdio::from))
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sockeye-{}-{name}.sock", std::process::id()))
}

fn on_unix(path: &PathBuf) -> Peer<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut peer = Peer::over(stream, Role::Client);
    peer.send(UPGRADE);
    peer.opened();
    peer
}

#[test]
fn a_service_listens_on_the_sockets_and_notifies_systemd() {
    let (unix_path, notify_path) = (path("activation"), path("notify"));
    let notifications = UnixDatagram::bind(&notify_path).unwrap();
    notifications.set_read_timeout(Some(LIMIT)).unwrap();
    let next = || {
        let mut buffer = [0; 100];
        let len = notifications.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    };
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let unix = UnixListener::bind(&unix_path).unwrap();
    // A client may come before the service.
    let mut early = Peer::connect(address);
    early.send(UPGRADE);
    let variables = [("LISTEN_FDS", "2"), ("NOTIFY_SOCKET", notify_path.to_str().unwrap())];
    let child = start(PASS, &variables, [tcp.into(), unix.into()]);
    assert_eq!(child.line(), "listening");
    assert_eq!(next(), "READY=1");
    assert_eq!(next(), "STATUS=one line");
    early.opened();
    let mut second = on_unix(&unix_path);
    early.echo("over TCP");
    second.echo("over a Unix domain socket");
    second.send_text("quit");
    assert!(matches!(second.ending(), Ending::Close(_)));
    drop((early, second));
    assert_eq!(next(), "STOPPING=1");
    child.finish();
    assert!(unix_path.exists(), "the path belongs to systemd");
    std::fs::remove_file(unix_path).unwrap();
    std::fs::remove_file(notify_path).unwrap();
}

#[test]
fn a_service_that_systemd_does_not_expect_notifications_of_runs_without_them() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let child = start(PASS, &[("LISTEN_FDS", "1"), ("NOTIFY_SOCKET", "")], [tcp.into(), null()]);
    assert_eq!(child.line(), "listening");
    let mut peer = Peer::open(address);
    peer.send_text("quit");
    assert!(matches!(peer.ending(), Ending::Close(_)));
    drop(peer);
    child.finish();
}

fn null() -> OwnedFd {
    std::fs::File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

#[track_caller]
fn check_error(commands: &str, count: &str, sockets: [OwnedFd; 2], reason: &str) {
    let child = start(commands, &[("LISTEN_FDS", count)], sockets);
    assert_eq!(child.line(), format!("cannot listen on the sockets of systemd: {reason}"));
    child.finish();
}

#[test]
fn a_service_without_suitable_sockets_has_an_error() {
    let none = "systemd has passed none to this process";
    check_error(PASS, "0", [null(), null()], none);
    check_error("unset LISTEN_FDS", "1", [null(), null()], none);
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    // The sockets are for another process.
    check_error("exec 3<&0; export LISTEN_PID=1", "1", [listener(), null()], none);
    check_error(PASS, "1", [null(), null()], "fd 3 is not a socket");
    let datagram = UnixDatagram::unbound().unwrap().into();
    check_error(PASS, "2", [listener(), datagram], "fd 4 is not a valid tcp socket");
    let connection: (TcpStream, TcpStream) = streams();
    let reason = "a connection was passed: set Accept=no";
    check_error(PASS, "1", [connection.0.into(), null()], reason);
    check_error(PASS, "1", [UnixStream::pair().unwrap().0.into(), null()], reason);
}
