//! permessage-deflate: RFC 7692, and what no peer may do with it.

mod bounds;
mod conversations;
mod negotiation;
mod python_zlib;
mod s7_2_3_examples;

use sockeye::Deflate;
use sockeye::protocol::{Config, Role, State};

use sockeye_test_support::bytes::{self, BINARY, TEXT};
use sockeye_test_support::pair::{Core, End, Seen, request};

/// The bit of the first byte that marks a compressed message.
const RSV1: u8 = 0x40;
const COMPRESSED_TEXT: u8 = TEXT | RSV1;
const COMPRESSED_BINARY: u8 = BINARY | RSV1;

/// An empty block without compression: what is left out at the end of a message, with the byte before it.
const EMPTY_BLOCK: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// Keeps contexts, and compresses everything.
const EAGER: Deflate = Deflate {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    accept_no_context_takeover: true,
    level: 6,
    threshold: 1,
};

/// Keeps none.
const ALONE: Deflate =
    Deflate { server_no_context_takeover: true, client_no_context_takeover: true, ..EAGER };

fn with(deflate: Deflate) -> Config {
    Config { deflate: Some(deflate), ..Config::default() }
}

/// A server that was asked for this, and the header with its answer.
fn server(config: Config, offer: &str) -> (End, Option<String>) {
    let mut asking = request();
    asking.add_extension(offer);
    let mut client = End::asking(Config::default(), asking);
    let mut server = End::server(config);
    server.feed(&client.take_out());
    let head = String::from_utf8(server.take_out()).unwrap();
    let header = |line: &str| line.strip_prefix("Sec-WebSocket-Extensions: ").map(str::to_owned);
    (server, head.lines().find_map(header))
}

/// A client that was answered this, and what it made of it.
fn client(config: Config, answer: &str) -> (End, Vec<Seen>) {
    let mut client = End::client(Config { key_strict: false, ..config });
    client.take_out();
    let head = format!(
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Extensions: {answer}\r\n\r\n"
    );
    let seen = client.feed(head.as_bytes());
    (client, seen)
}

/// An open end, with all parameters as they are by default.
fn open(role: Role, config: Config) -> End {
    let end = match role {
        Role::Server => server(config, "permessage-deflate; client_max_window_bits").0,
        Role::Client => {
            let resets = config.deflate.is_some_and(|deflate| deflate.server_no_context_takeover);
            let reset = if resets { "; server_no_context_takeover" } else { "" };
            client(config, &format!("permessage-deflate{reset}")).0
        }
    };
    assert_eq!(end.state(), State::Open);
    end
}

/// Feeds a frame of the peer.
fn feed<C: Core>(end: &mut End<C>, first: u8, payload: &[u8]) -> Vec<Seen> {
    let frame = bytes::frame_from(!end.core.role(), first, payload);
    end.feed(&frame)
}

/// The frames that are sent for a message.
fn sent<C: Core>(end: &mut End<C>, message: impl Into<sockeye::Message>) -> Vec<bytes::Decoded> {
    end.send(message);
    bytes::frames(&end.take_out())
}

/// Bytes that cannot be compressed, always the same.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}
