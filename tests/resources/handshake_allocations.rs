//! How often memory is allocated during an opening handshake.
//!
//! Alone in its binary, so that nothing else allocates. A counting allocator counts, also when memory moves.

#![expect(clippy::unwrap_used, reason = "a panic names the line of the failure")]

use std::alloc::System;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sockeye::protocol::{Config, Connection, Event};
use sockeye::{Request, Response};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a browser sends.
const HEAD: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: localhost:3012\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://localhost:3012\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Cookie: theme=dark; session=31d4d96e\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// The number of fields of the head.
const FIELDS: usize = 13;

/// The tests count the allocations of the whole process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns how often memory is allocated, and the result.
fn count<R>(measured: impl FnOnce() -> R) -> (usize, R) {
    let region = Region::new(ALLOCATOR);
    let result = measured();
    let change = region.change();
    (change.allocations + change.reallocations, result)
}

/// Returns the fewest allocations of several attempts: the harness can allocate on its own thread meanwhile.
fn fewest(mut measured: impl FnMut()) -> usize {
    (0..20).map(|_| count(&mut measured).0).min().unwrap_or(usize::MAX)
}

/// Opens a connection of the protocol core, and returns the request.
fn open(config: &Arc<Config>, head: &mut [u8], out: &mut Vec<u8>) -> (Connection, Request) {
    let now = Instant::now();
    let mut server = Connection::server(Arc::clone(config), now);
    let mut input = head;
    let Some(Event::Request(request)) = server.receive(&mut input, now, out).unwrap() else {
        panic!("the request is not complete");
    };
    let mut response = Response::from_request(&request).unwrap();
    server.respond(&request, &mut response, now, out).unwrap();
    (server, *request)
}

#[test]
fn the_core_of_a_server_allocates_six_times_whatever_the_number_of_fields() {
    let _turn = turn();
    let (config, mut out) = (Arc::new(Config::default()), Vec::with_capacity(1024));
    let short = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for head in [short, HEAD] {
        let mut input = head.as_bytes().to_vec();
        let allocations = fewest(|| {
            input.copy_from_slice(head.as_bytes());
            out.clear();
            drop(open(&config, &mut input, &mut out));
        });
        // The opening of the connection, the head, its fields and where they are, the target, and the event.
        assert!(allocations <= 6, "{allocations} allocations");
    }
}

#[test]
fn what_programs_read_of_a_request_is_not_copied() {
    let _turn = turn();
    let request = Request::parse(HEAD.as_bytes()).unwrap().unwrap();
    let allocations = fewest(|| {
        assert!(request.is_upgrade());
        assert_eq!((request.method(), request.path(), request.query()), ("GET", "/chat", Some("room=1")));
        assert_eq!(request.header_text("origin"), Some("http://localhost:3012"));
        assert_eq!(request.origin().unwrap(), Some("http://localhost:3012"));
        assert_eq!(request.cookie("session"), Some("31d4d96e"));
        assert_eq!(request.version().unwrap(), "13");
        assert_eq!(request.bearer_token(), None);
        assert_eq!(request.header("Authorization"), None);
    });
    assert_eq!(allocations, 0);
}

#[test]
fn the_list_of_headers_is_created_once() {
    let _turn = turn();
    let request = Request::parse(HEAD.as_bytes()).unwrap().unwrap();
    let (allocations, host) = count(|| request.header("Host"));
    assert_eq!(host, Some(&b"localhost:3012".to_vec()));
    assert!(allocations > 2 * FIELDS, "{allocations} allocations");
    let allocations = fewest(|| {
        assert_eq!((request.headers().len(), request.header("origin").is_some()), (FIELDS, true));
    });
    assert_eq!(allocations, 0);
}

#[cfg(feature = "reactor")]
#[test]
fn the_event_loop_allocates_at_most_eight_times_for_each_connection() {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};

    use sockeye::{Message, Sender, WebSocket};

    /// Enough that tables which grow do not count.
    const CONNECTIONS: usize = 200;

    /// Opens a connection without an allocation.
    fn connect(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(HEAD.as_bytes()).unwrap();
        let (mut response, mut len) = ([0; 512], 0);
        while !response[..len].ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut response[len..]).unwrap();
            assert_ne!(read, 0, "the server has closed the connection");
            len += read;
        }
        stream
    }

    let _turn = turn();
    let factory = |out: Sender| move |_: Message| out.shutdown();
    let socket = WebSocket::new(factory).unwrap().bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // The handler and the factory need not be `Send`, so the loop runs on this thread.
    let client = std::thread::spawn(move || {
        // The first connections fill tables and buffers.
        let first: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(address)).collect();
        drop(first);
        let mut last = connect(address);
        let (allocations, ()) = count(|| (0..CONNECTIONS).for_each(|_| drop(connect(address))));
        last.write_all(b"\x82\x80\0\0\0\0").unwrap();
        last.read_to_end(&mut Vec::new()).unwrap();
        allocations
    });
    socket.run().unwrap();
    let each = client.join().unwrap().div_ceil(CONNECTIONS);
    assert!(each <= 8, "{each} allocations for each connection");
}
