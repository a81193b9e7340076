//! Extensions of the program.

use sockeye::futures::Builder;
use sockeye::{Frame, OpCode};

use crate::support::{REQUEST, acceptance, asking, close_payload, header, masked, now, pipe, ready};
use sockeye_test_support::extension::Flip;

const RSV2: u8 = 0x20;

fn flipped(bytes: &[u8], by: u8) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ by).collect()
}

#[test]
fn x1_an_extension_sets_and_requires_its_reserved_bits() {
    let (end, raw) = pipe();
    raw.write(REQUEST.replace("Origin", "Sec-WebSocket-Extensions: x-flip; by=255\r\nOrigin"));
    let mut socket = ready(Builder::new().extension(|| Flip(1)).server(end).accept()).unwrap();
    assert_eq!(header(&raw.read_text(), "Sec-WebSocket-Extensions"), Some("x-flip; by=255"));
    // As text, these bytes would not be UTF-8: the extension comes first, also where somebody else reads.
    raw.write(masked(0x01 | RSV2, &flipped(b"sal", 255)));
    ready(socket.send("ok")).unwrap();
    assert_eq!(raw.read(), [&[0x81 | RSV2, 2][..], &flipped(b"ok", 255)].concat());
    raw.write([masked(0x89, b"?"), masked(0x80 | RSV2, &flipped(b"mon", 255))].concat());
    assert_eq!(ready(socket.receive()).unwrap(), Some("salmon".into()));
    assert_eq!(raw.read(), b"\x8a\x01?");
    raw.write(masked(0x91, b"x"));
    assert!(now(socket.receive()).is_none());
    assert_eq!(raw.read(), [&[0x88, 2][..], &close_payload(1002, "")].concat());
    raw.end();
    assert!(ready(socket.receive()).is_err());
}

#[test]
fn x1_a_client_offers_an_extension_and_receives_plain_frames() {
    let builder = Builder::new().extension(|| Flip(9));
    let (mut client, request, raw) = asking(&builder);
    assert_eq!(header(&request, "Sec-WebSocket-Extensions"), Some("x-flip; by=9"));
    raw.write(acceptance(&request, "Sec-WebSocket-Extensions: x-flip; by=9\r\n"));
    raw.write([&[0x82 | RSV2, 2][..], &flipped(b"hi", 9)].concat());
    ready(client.handshake()).unwrap();
    let mut socket = client.into_socket().unwrap();
    let frame = ready(socket.receive_frame()).unwrap().unwrap();
    assert_eq!(
        (frame.opcode(), frame.has_rsv2(), frame.payload().as_slice()),
        (OpCode::Binary, false, &b"hi"[..])
    );
    ready(socket.send_frame(Frame::message(b"a".to_vec(), OpCode::Binary, true))).unwrap();
    let sent = raw.read_frames().remove(0);
    assert!(sent.has_rsv2() && sent.payload() == &flipped(b"a", 9));
}

#[test]
fn x1_an_extension_is_not_used_without_negotiation() {
    let builder = Builder::new().extension(|| Flip(9));
    for (headers, is_open) in [("", true), ("Sec-WebSocket-Extensions: x-flip; by=8\r\n", false)] {
        let (mut client, request, raw) = asking(&builder);
        raw.write(acceptance(&request, headers));
        raw.end();
        let answered = ready(client.handshake());
        assert_eq!(answered.is_ok(), is_open);
        if let (true, Ok(mut socket)) = (is_open, client.into_socket()) {
            let _ = now(socket.send("plain"));
            assert_eq!(raw.read_frames()[0].payload(), b"plain");
        }
    }
}
