//! No memory is reserved because a peer has named a number (F1).
//!
//! Alone in its binary, so that nothing else moves the figure that it looks at.

#![cfg(target_os = "linux")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sockeye::protocol::{Config, Connection, Event};
use sockeye::{Request, Response};

const CONNECTIONS: usize = 1000;

/// What all connections together may take: not a hundredth of what their peers claim.
const MOST: usize = 128 << 20;

/// The header, with its key, of a frame of 16 MiB, and the first ten bytes of it.
const CLAIM: &[u8] = b"\x82\xff\0\0\0\0\x01\0\0\0keys0123456789";

/// The beginning of a text of 16 MiB, and of a fragment of as much.
const CLAIMS: [&[u8]; 3] = [CLAIM, b"\x81\xff\0\0\0\0\x01\0\0\0keys", b"\x01\xff\0\0\0\0\x01\0\0\0keys\x4b"];

/// The address space of this process in bytes: what is reserved counts, touched or not.
fn reserved() -> Result<usize, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').next().ok_or("statm is empty")?.parse()?;
    Ok(pages * 4096)
}

/// A server that is open, by way of a handshake in memory.
fn open(config: &Arc<Config>, now: Instant) -> Result<Connection, Box<dyn Error>> {
    let (mut head, mut out) = (Vec::new(), Vec::new());
    Request::from_url(&"ws://example.com/".parse()?)?.encode(&mut head)?;
    let mut server = Connection::server(Arc::clone(config), now);
    let Some(Event::Request(request)) = server.receive(&mut head.as_mut_slice(), now, &mut out)? else {
        return Err("the request is not complete".into());
    };
    server.respond(&request, &mut Response::from_request(&request)?, now, &mut out)?;
    Ok(server)
}

#[test]
fn f1_an_announced_length_allocates_no_memory() -> Result<(), Box<dyn Error>> {
    let (config, now) = (Arc::new(Config::default()), Instant::now());
    let before = reserved()?;
    let mut servers = Vec::new();
    for claim in CLAIMS.iter().cycle().take(CONNECTIONS) {
        let mut server = open(&config, now)?;
        let mut bytes = claim.to_vec();
        assert!(server.receive(&mut bytes.as_mut_slice(), now, &mut Vec::new())?.is_none());
        assert!(server.missing() > (16 << 20) - 11, "the claim is taken for what it is");
        servers.push(server);
    }
    let grown = reserved()?.saturating_sub(before);
    assert!(grown < MOST, "{CONNECTIONS} connections, claims of 16 MiB each: {grown} bytes");
    Ok(())
}
