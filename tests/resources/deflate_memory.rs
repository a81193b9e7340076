//! What compression takes of memory: for a hostile message (D1), and for a connection (D9).
//!
//! Alone in its binary, and in one test, so that nothing else moves the figures that it looks at.

#![cfg(all(target_os = "linux", feature = "permessage-deflate"))]

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use sockeye::protocol::{Config, Connection, Event, ProtocolError};
use sockeye::{Deflate, Message, Request, Response};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The default limit of a message, and what may come on top of it, with some room for the allocator.
const LIMIT: usize = 16 << 20;
const EXCESS: usize = (1 << 20) + (256 << 10);

/// The block that was left out at the end of a payload, without its first byte.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

const CONNECTIONS: usize = 50;

fn status(field: &str) -> Outcome<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("a field is missing")?;
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

/// How much more memory was in use at some moment of `act` than before it, in bytes.
fn peak<R>(act: impl FnOnce() -> R) -> Outcome<(usize, R)> {
    let before = status("VmRSS:")?;
    fs::write("/proc/self/clear_refs", "5")?;
    let result = act();
    Ok((status("VmHWM:")?.saturating_sub(before), result))
}

/// What both ends want: to keep the context of the client, or of the server, and windows of these bits.
fn config(keeps_client: bool, keeps_server: bool, bits: u8) -> Arc<Config> {
    let deflate = Deflate {
        server_no_context_takeover: !keeps_server,
        client_no_context_takeover: !keeps_client,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
        threshold: 1,
        ..Deflate::default()
    };
    Arc::new(Config { deflate: Some(deflate), ..Config::default() })
}

/// The client's and the server's end of a connection that is open.
fn open(config: &Arc<Config>) -> Outcome<(Connection, Connection)> {
    let (now, mut up, mut down) = (Instant::now(), Vec::new(), Vec::new());
    let request = Request::from_url(&"ws://example.com/".parse()?)?;
    let mut client = Connection::client(Arc::clone(config), request, now, &mut up)?;
    let mut server = Connection::server(Arc::clone(config), now);
    let Some(Event::Request(request)) = server.receive(&mut up.as_mut_slice(), now, &mut down)? else {
        return Err("the request is not complete".into());
    };
    server.respond(&request, &mut Response::from_request(&request)?, now, &mut down)?;
    client.receive(&mut down.as_mut_slice(), now, &mut up)?;
    Ok((client, server))
}

/// A frame of a client with a compressed message; the masking key is zero.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc2];
    match u16::try_from(payload.len()) {
        Ok(len) => bytes.extend_from_slice(&[&[0xfe], &len.to_be_bytes()[..]].concat()),
        Err(_) => bytes.extend_from_slice(&[&[0xff], &(payload.len() as u64).to_be_bytes()[..]].concat()),
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// A megabyte of zeros, compressed; several of them, each with the tail behind it, are one longer message.
fn zeros(config: &Arc<Config>) -> Outcome<Vec<u8>> {
    let (mut out, (_, mut server)) = (Vec::new(), open(config)?);
    server.send(vec![0; 1 << 20], Instant::now(), &mut out)?;
    assert_eq!(out.first().zip(out.get(1)), Some((&0xc2, &126)));
    Ok([out.get(4..).unwrap_or_default(), &TAIL].concat())
}

/// Blocks without compression, of bytes that could not be compressed.
fn stored(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let mut payload = Vec::new();
    for at in (0..len).step_by(65_535) {
        let part = u16::try_from((len - at).min(65_535)).unwrap_or(u16::MAX);
        payload.push(0);
        payload.extend_from_slice(&part.to_le_bytes());
        payload.extend_from_slice(&(!part).to_le_bytes());
        payload.extend(noise.by_ref().take(part.into()));
    }
    payload
}

/// Receives a message from a client whole, and returns how long it was, and what memory that took beside the input.
fn receive(config: &Arc<Config>, payload: &[u8]) -> Outcome<(usize, Result<usize, ProtocolError>)> {
    let (_, mut server) = open(config)?;
    let (mut bytes, mut out) = (frame(payload), Vec::new());
    peak(|| match server.receive(&mut bytes.as_mut_slice(), Instant::now(), &mut out)? {
        Some(Event::Message(message)) => Ok(message.len()),
        _ => Ok(0),
    })
}

#[expect(clippy::print_stderr, reason = "the figures are worth reading")]
fn d1_bombs(config: &Arc<Config>) -> Outcome<()> {
    let megabyte = zeros(config)?;
    let end = [0_u8];
    // What is held beside the message: of its frame, what could not be compressed, and was really sent.
    let bombs = [
        ("16 MiB of zeros", [megabyte.repeat(16), end.to_vec()].concat(), Ok(LIMIT), 0),
        ("15 GiB of zeros", megabyte.repeat(15 << 10), Err(ProtocolError::MessageTooLong), 0),
        ("16 MiB of noise", [stored(LIMIT), end.to_vec()].concat(), Ok(LIMIT), LIMIT),
        (
            "zeros, then noise",
            [megabyte.repeat(12), stored(LIMIT)].concat(),
            Err(ProtocolError::MessageTooLong),
            0,
        ),
        (
            "noise, then zeros",
            [stored(LIMIT / 2), megabyte.repeat(1024)].concat(),
            Err(ProtocolError::MessageTooLong),
            LIMIT / 2,
        ),
    ];
    for (name, payload, expected, held) in bombs {
        let (peak, received) = receive(config, &payload)?;
        eprintln!("{name}: {} bytes on the wire, at most {peak} bytes taken", payload.len());
        assert_eq!(received, expected, "{name}");
        assert!(peak <= LIMIT + held + EXCESS, "{name}: {peak}");
    }
    Ok(())
}

/// What a server's end takes whose client has sent and received enough to fill every window, in bytes.
fn cost(config: &Arc<Config>, kept: &mut Vec<Connection>) -> Outcome<usize> {
    let now = Instant::now();
    let numbers: String = (0..12_000_u64).map(|number| format!("{} ", number * number)).collect();
    let message = Message::text(numbers);
    let exchange = |kept: &mut Vec<Connection>| -> Outcome<()> {
        let (mut client, mut server) = open(config)?;
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.send(message.clone(), now, &mut up)?;
        server.receive(&mut up.as_mut_slice(), now, &mut down)?;
        server.send(message.clone(), now, &mut down)?;
        kept.push(server);
        Ok(())
    };
    // What is shared is there from here on, spare buffers included.
    for _ in 0..20 {
        exchange(kept)?;
    }
    let before = status("VmRSS:")?;
    for _ in 0..CONNECTIONS {
        exchange(kept)?;
    }
    Ok(status("VmRSS:")?.saturating_sub(before) / CONNECTIONS)
}

#[expect(clippy::print_stderr, reason = "the figures are worth reading")]
fn d9_connections() -> Outcome<()> {
    // The bits of the windows, and what a context may cost that is sent with, or received with.
    // All stay until the end, so that none takes memory which another one has left.
    let mut kept = Vec::new();
    for (bits, to_send, to_receive) in [(15, 400, 72), (12, 192, 72), (9, 176, 72)] {
        let none = cost(&config(false, false, bits), &mut kept)?;
        let sends = cost(&config(false, true, bits), &mut kept)?;
        let receives = cost(&config(true, false, bits), &mut kept)?;
        eprintln!(
            "{bits} bits: {none} bytes without contexts, {sends} to send with one, {receives} to receive"
        );
        assert!(none < 4096, "without contexts, {bits} bits: {none}");
        assert!(sends < to_send << 10, "to send, {bits} bits: {sends}");
        assert!(receives < to_receive << 10, "to receive, {bits} bits: {receives}");
    }
    Ok(())
}

#[test]
fn d1_d9_bombs_and_contexts_use_limited_memory() -> Outcome<()> {
    d1_bombs(&config(false, false, 15))?;
    d9_connections()
}
