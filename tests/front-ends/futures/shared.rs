//! Messages that several connections send.

use sockeye::SharedMessage;
use sockeye::futures::{Builder, Error};

use crate::support::{now, open_client, open_server, ready};

/// The frame of a server with `len` bytes of 7.
fn frame_of(len: usize) -> Vec<u8> {
    let header = match (u8::try_from(len).ok().filter(|len| *len < 126), u16::try_from(len)) {
        (Some(len), _) => vec![0x82, len],
        (None, Ok(len)) => [&[0x82, 126], &len.to_be_bytes()[..]].concat(),
        (None, Err(_)) => [&[0x82, 127], &(len as u64).to_be_bytes()[..]].concat(),
    };
    [header, vec![7; len]].concat()
}

#[test]
fn m2_a_shared_message_is_sent_like_any_other() {
    for len in [0, 1, 125, 126, 4_095, 4_096, 65_535, 65_536, 200_000] {
        let message = SharedMessage::from(vec![7; len]);
        let (mut socket, raw) = open_server(&Builder::new().high_water(1 << 20));
        ready(socket.send("before")).unwrap();
        ready(socket.send_shared(&message)).unwrap();
        ready(socket.queue_shared(&message)).unwrap();
        ready(socket.queue("behind")).unwrap();
        assert_eq!(socket.buffered_amount(), frame_of(len).len() + 8);
        ready(socket.flush()).unwrap();
        let expected = [b"\x81\x06before".to_vec(), frame_of(len), frame_of(len), b"\x81\x06behind".to_vec()];
        assert!(raw.read() == expected.concat(), "{len} bytes");
    }
}

#[test]
fn m2_a_shared_message_is_written_in_parts_with_the_frames_around_it() {
    let message = SharedMessage::from(vec![7; 10_000]);
    let expected = [&frame_of(10_000)[..], b"\x81\x03one", &frame_of(10_000), b"\x81\x03two"].concat();
    for room in [1, 2, 3, 4, 5, 999, 10_003, 10_004, 10_005] {
        let (mut socket, raw) = open_server(&Builder::new());
        raw.limit(room);
        for text in ["one", "two"] {
            // The rest waits, unless everything was accepted.
            let _ = now(socket.send_shared(&message));
            let _ = now(socket.send(text));
        }
        let mut received = Vec::new();
        while socket.buffered_amount() > 0 {
            received.extend(raw.read());
            let _ = now(socket.flush());
        }
        received.extend(raw.read());
        assert!(received == expected, "steps of {room} bytes");
    }
}

#[test]
fn s5_3_a_client_masks_a_copy() {
    let message = SharedMessage::from(vec![7; 10_000]);
    let (mut socket, raw) = open_client(&Builder::new());
    let (mut other, other_raw) = open_client(&Builder::new());
    ready(socket.send_shared(&message)).unwrap();
    ready(other.send_shared(&message)).unwrap();
    let frames = [raw.read(), other_raw.read()];
    for bytes in &frames {
        let (header, payload) = bytes.split_at(8);
        assert_eq!(header[..4], [0x82, 0xfe, 0x27, 0x10]);
        let unmasked = payload.iter().zip(header[4..].iter().cycle()).map(|(byte, key)| byte ^ key);
        assert!(unmasked.eq(message.as_bytes().iter().copied()));
    }
    assert_ne!(frames[0][4..8], frames[1][4..8]);
}

#[test]
fn l6_a_shared_message_that_finds_no_room_is_an_error() {
    let message = SharedMessage::from(vec![7; 10_000]);
    let (mut socket, raw) = open_server(&Builder::new().max_buffered(5_000));
    raw.limit(0);
    assert!(now(socket.send_shared(&message)).is_none());
    let Some(Err(Error::FullFrame(frame))) = now(socket.send_shared(&message)) else {
        panic!("the output is full");
    };
    assert_eq!(frame.payload(), message.as_bytes());
}

#[cfg(feature = "permessage-deflate")]
#[test]
fn a_shared_message_is_compressed_once() {
    use sockeye::Deflate;
    use sockeye::protocol::Config;

    use crate::support::REQUEST;
    use sockeye_test_support::pipe::pipe;

    let builder = Builder::new().config(Config { deflate: Some(Deflate::default()), ..Config::default() });
    let request = REQUEST.replacen("Upgrade:", "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade:", 1);
    let message = SharedMessage::from("salmon ".repeat(10_000));
    let mut all = Vec::new();
    for _ in 0..3 {
        let (end, raw) = pipe();
        raw.write(&request);
        let mut socket = ready(builder.server(end).accept()).unwrap();
        assert!(raw.read_text().contains("permessage-deflate"));
        ready(socket.send_shared(&message)).unwrap();
        all.push(raw.read());
    }
    assert!(all[0].len() < 1_000 && all[0][0] == 0xc1 && all.iter().all(|bytes| *bytes == all[0]));
}
