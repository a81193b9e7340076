//! Compression of wrapped handlers.

use sockeye_test_support::bytes::TEXT;
use ws::deflate::DeflateHandler;
use ws::{Message, Sender};

use crate::support::{Peer, Server, guarded, upgrade_request};

/// The first bit that is reserved for extensions marks a compressed message (RFC 7692 §6).
const RSV1: u8 = 0x40;

#[test]
fn messages_of_less_than_1_kib_are_sent_uncompressed() {
    guarded(|| {
        let server = Server::run(|| |out: Sender| DeflateHandler::new(move |msg: Message| out.send(msg)));
        let mut peer = Peer::connect(server.addr);
        let offer = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        peer.send(upgrade_request(server.addr, "GET").replace("\r\n\r\n", offer).as_bytes());
        assert!(peer.head().text.contains("permessage-deflate"));
        for (len, is_compressed) in [(0, false), (1, false), (1023, false), (1024, true), (5000, true)] {
            let text = "x".repeat(len);
            peer.send_text(&text);
            let (first, payload) = peer.frame();
            assert_eq!(first, if is_compressed { TEXT | RSV1 } else { TEXT }, "{len} bytes");
            assert!(if is_compressed { payload.len() < 100 } else { payload == text.as_bytes() });
        }
        peer.finish();
        server.stop();
    });
}
