//! Handshakes whose replies come from a script, in pieces of any size. Tests and fuzz targets use them.

use url::Url;

use super::{Handshake, Proxy, ProxyFailure, State};
use crate::protocol::Config;

/// The most that a client sends to a proxy: a greeting, two fields for the credentials, and a request with a name; or a request of
/// HTTP with the longest name and credentials below.
const MAX_SENT: usize = 1024;

/// What a handshake has sent, and how it has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) sent: Vec<u8>,
    /// The number of bytes of the handshake, or `None` if it is not complete.
    pub(super) result: Result<Option<usize>, ProxyFailure>,
}

/// Begins a handshake with small limits.
pub(super) fn begin(proxy: &str, url: &str) -> Handshake {
    let url: Url = url.parse().expect("the URL is valid");
    let proxy = Proxy::new(proxy).expect("the URL of the proxy is valid");
    let server = proxy.server_for(&url).expect("the proxy is for all URLs");
    let config = Config { max_head_size: 300, max_headers: 5, ..Config::default() };
    Handshake::new(server, &url, &config).expect("the name is short")
}

/// Performs a handshake with the replies of a proxy in pieces of the given lengths, the rest at once.
pub(super) fn perform(mut handshake: Handshake, replies: &[u8], cuts: &[usize]) -> Outcome {
    let (mut sent, mut rest, mut taken) = (Vec::new(), replies, 0);
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        sent.extend_from_slice(handshake.output());
        handshake.sent(handshake.output().len());
        let (piece, others) = rest.split_at(cut.min(rest.len()));
        let len = match handshake.receive(piece) {
            Ok(len) => len,
            Err(err) => return Outcome { sent, result: Err(err.failure()) },
        };
        taken += len;
        if matches!(handshake.state, State::Done) {
            sent.extend_from_slice(handshake.output());
            return Outcome { sent, result: Ok(Some(taken)) };
        }
        assert_eq!(len, piece.len(), "a handshake that is not done takes all");
        rest = others;
    }
    sent.extend_from_slice(handshake.output());
    Outcome { sent, result: Ok(None) }
}

/// Performs a handshake with replies at once and in pieces. Panics if the result depends on that.
pub(super) fn compare(proxy: &str, replies: &[u8], cuts: &[usize]) {
    let perform = |cuts: &[usize]| perform(begin(proxy, "ws://example.com/"), replies, cuts);
    let whole = perform(&[]);
    assert!(whole.sent.len() <= MAX_SENT, "too much is sent");
    for other in [perform(cuts), perform(&vec![1; replies.len()])] {
        assert_eq!(whole.result, other.result);
        // What is sent before an error depends on when the error arrives.
        assert!(whole.result.is_err() || whole.sent == other.sent);
    }
}

/// Runs a script: which proxy, the length of the pieces, and the replies.
pub(crate) fn run(script: &[u8]) {
    let [which, piece, replies @ ..] = script else { return };
    let proxies =
        ["http://proxy.example", "http://u:p@proxy.example", "socks5://u:p@[::1]", "socks5://127.0.0.1"];
    let proxy = proxies[usize::from(*which) % proxies.len()];
    compare(proxy, replies, &[usize::from(*piece); 64]);
}
