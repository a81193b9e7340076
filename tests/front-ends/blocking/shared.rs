//! Messages that several connections send.

use sockeye::SharedMessage;
use sockeye::protocol::Config;

use crate::{pair, served};
use sockeye_test_support::bytes::{BINARY, TEXT};

#[test]
fn m2_a_shared_message_is_received_like_any_other() {
    let message = SharedMessage::from(vec![7; 100_000]);
    let (mut client, mut server) = pair();
    std::thread::scope(|scope| {
        // More than the buffers of the system hold.
        scope.spawn(|| (0..20).for_each(|_| server.send_shared(&message).unwrap()));
        for _ in 0..20 {
            assert!(client.receive().unwrap().is_some_and(|msg| msg.as_bytes() == message.as_bytes()));
        }
    });
    // A client masks a copy.
    client.send_shared(&message).unwrap();
    assert!(server.receive().unwrap().is_some_and(|msg| msg.as_bytes() == [7; 100_000]));
    assert_eq!(message.as_bytes(), [7; 100_000]);
}

#[test]
fn m7_shared_messages_and_others_are_queued_in_order() {
    let (mut socket, mut peer) = served(Config::default());
    for len in [10, 5_000, 20_000] {
        socket.queue("before").unwrap();
        socket.queue_shared(&SharedMessage::from(vec![7; len])).unwrap();
    }
    socket.queue("end").unwrap();
    socket.flush().unwrap();
    for len in [10, 5_000, 20_000] {
        assert_eq!(peer.frame(), (TEXT, b"before".to_vec()));
        assert_eq!(peer.frame(), (BINARY, vec![7; len]));
    }
    assert_eq!((peer.frame(), socket.buffered_amount()), ((TEXT, b"end".to_vec()), 0));
}
