//! Extensions of the program.

use std::thread;

use sockeye::blocking::Builder;
use sockeye::protocol::Config;
use sockeye::{Frame, OpCode};

use crate::{ACCEPTED, answering, pair_of, streams};
use sockeye_test_support::bytes::{CLOSE, LAST, PING, PONG, TEXT, TEXT_START, masked, upgrade_and};
use sockeye_test_support::extension::Flip;
use sockeye_test_support::peer::Peer;

const RSV2: u8 = 0x20;

fn flipped(bytes: &[u8], by: u8) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ by).collect()
}

#[test]
fn x1_both_ends_negotiate_an_extension_of_the_program() {
    let (mut client, mut server) =
        pair_of(&Builder::new().extension(|| Flip(0xaa)), &Builder::new().extension(|| Flip(1)));
    assert_eq!(client.response().unwrap().extensions().unwrap(), ["x-flip; by=170"]);
    client.send("salmon").unwrap();
    assert_eq!(server.receive().unwrap(), Some("salmon".into()));
    // Fragments, and a control frame between them, which no extension changes.
    server.send_frame(Frame::message(b"sal".to_vec(), OpCode::Text, false)).unwrap();
    server.ping("?").unwrap();
    server.send_frame(Frame::message(b"mon".to_vec(), OpCode::Continue, true)).unwrap();
    assert_eq!(client.receive().unwrap(), Some("salmon".into()));
    client.send(vec![7; 200_000]).unwrap();
    assert_eq!(server.receive_frame().unwrap().unwrap().opcode(), OpCode::Pong);
    let frame = server.receive_frame().unwrap().unwrap();
    assert!(frame.payload() == &vec![7; 200_000] && !frame.has_rsv2());
}

/// The bits are on the wire, and a peer that has agreed to them must set them.
#[test]
fn x1_an_extension_sets_and_requires_its_reserved_bits() {
    let (ours, theirs) = streams();
    let mut peer = Peer::new(theirs);
    let serving = thread::spawn(move || {
        let mut socket = Builder::new().extension(|| Flip(1)).server(ours).accept().unwrap();
        let text = socket.receive().unwrap();
        socket.send("ok").unwrap();
        (text, socket.receive().is_err())
    });
    peer.send(upgrade_and("Sec-WebSocket-Extensions: x-other, x-flip; by=255\r\n").as_bytes());
    peer.opened();
    // As text, these bytes would not be UTF-8: the extension comes first.
    peer.send(&[masked(TEXT_START | RSV2, &flipped(b"sal", 255)), masked(PING, b"?")].concat());
    peer.send(&masked(LAST | RSV2, &flipped(b"mon", 255)));
    assert_eq!(peer.frame(), (PONG, b"?".to_vec()));
    assert_eq!(peer.frame(), (TEXT | RSV2, flipped(b"ok", 255)));
    peer.send(&masked(TEXT | 0x10, b"x"));
    assert_eq!(peer.frame(), (CLOSE, 1002_u16.to_be_bytes().to_vec()));
    peer.end_writing();
    let (text, has_failed) = serving.join().unwrap();
    assert!(text == Some("salmon".into()) && has_failed);
}

#[test]
fn x1_an_extension_is_not_used_without_negotiation() {
    let (mut client, mut server) = pair_of(&Builder::new().extension(|| Flip(0xaa)), &Builder::new());
    client.send("plain").unwrap();
    assert_eq!(server.receive().unwrap(), Some("plain".into()));
    let (mut client, mut server) = pair_of(&Builder::new(), &Builder::new().extension(|| Flip(0xaa)));
    server.send("plain").unwrap();
    assert_eq!(client.receive().unwrap(), Some("plain".into()));
    // An answer that is not to the offer.
    let (address, _) = answering(format!("{ACCEPTED}Sec-WebSocket-Extensions: x-flip; by=3\r\n\r\n"));
    let builder = Builder::new().extension(|| Flip(4)).config(Config::default());
    assert!(builder.connect(&format!("ws://{address}/")).is_err());
}
