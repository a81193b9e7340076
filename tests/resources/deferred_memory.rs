//! What connections hold that wait for a deferred response, and that they cause no turn of the loop.
//!
//! Alone in its binary, so that nothing else allocates. The figures are bytes of a counting allocator.

#![cfg(feature = "reactor")]

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

use sockeye::{DeferredResponse, Handler, Request, Response, Result, Sender, Settings, WebSocket};
use sockeye_test_support::{LIMIT, bytes::upgrade_and, wait_until};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CLIENTS: usize = 1000;

/// What a connection may hold in addition to the head of its request and to its handler, in bytes.
const MOST: usize = 1024;

struct Deferring(Sender, mpsc::Sender<DeferredResponse>);

impl Handler for Deferring {
    fn on_request(&mut self, _: &Request) -> Result<Response> {
        let later = self.0.defer()?;
        let _ = self.1.send(later);
        Ok(Response::deferred())
    }
}

#[test]
fn a_thousand_deferred_responses_hold_less_than_a_kilobyte_each_and_cause_no_turns() {
    let (deferred, waiting) = mpsc::channel();
    let settings = Settings { handshake_timeout: LIMIT * 10, ..Settings::default() };
    let factory = move |out| Deferring(out, deferred.clone());
    let socket = sockeye::Builder::new().with_settings(settings).build(factory).unwrap();
    let socket: WebSocket<_> = socket.bind("127.0.0.1:0").unwrap();
    let (address, all) = (socket.local_addr().unwrap(), socket.broadcaster());
    let request = upgrade_and(&format!("Cookie: session={}\r\n", "s".repeat(600)));
    // The handler and the factory need not be `Send`, so the loop runs on this thread, and the clients on another one.
    let client = thread::spawn(move || {
        let connect = || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let later = waiting.recv_timeout(LIMIT).unwrap();
            (stream, later)
        };
        // What the process needs once does not count.
        let first = connect();
        let mut all_waiting = Vec::with_capacity(CLIENTS);
        let region = Region::new(ALLOCATOR);
        all_waiting.extend((0..CLIENTS).map(|_| connect()));
        let change = region.change();
        let each = change.bytes_allocated.saturating_sub(change.bytes_deallocated) / CLIENTS;
        eprintln!(
            "a deferred response: {each} bytes, of which {} are the head of the request",
            request.len()
        );
        assert!(each <= request.len() + size_of::<Deferring>() + MOST, "{each} bytes");

        // The last turn ends. Afterwards, the loop sleeps until it is woken.
        let turns = || all.stats().turns;
        let mut seen = turns();
        wait_until("an idle loop", || {
            thread::sleep(std::time::Duration::from_millis(20));
            std::mem::replace(&mut seen, turns()) == seen
        });
        let before = turns();
        thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(turns(), before, "waiting connections cause turns");

        drop(first);
        let (mut last, later) = all_waiting.pop().unwrap();
        later.respond(Response::new(401, "Unauthorized", Vec::new())).unwrap();
        let mut answer = String::new();
        last.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        all.shutdown().unwrap();
    });
    socket.run().unwrap();
    client.join().unwrap();
}
