//! The client side of the opening handshake: constant requests, and the check of the response.

use crate::Result;
use crate::spec::{Compression, Head, Spec};

/// The key of the example in RFC 6455 §1.3, and the accept value that a server must return.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(super) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The headers that browsers add, in their usual form and length.
const BROWSER: &str = "\
Connection: keep-alive, Upgrade\r\n\
Pragma: no-cache\r\n\
Cache-Control: no-cache\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n\
Accept: */*\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.9,de-DE;q=0.8,de;q=0.7,fr;q=0.6\r\n\
Origin: http://app.example.com\r\n\
Sec-Fetch-Dest: websocket\r\n\
Sec-Fetch-Mode: websocket\r\n\
Sec-Fetch-Site: same-origin\r\n\
Cookie: session=5b1f0c6e9a7d4e2f8c3b6a1d0e9f7c5b; theme=dark; consent=analytics%3Dno%26ads%3Dno; \
_id=GS1.1.1714400000.12.1.1714401234.56.0.0; csrf=Zm9vYmFyYmF6cXV4LXF1dXgtY29yZ2U; locale=en-GB; \
last_seen=2024-04-29T14%3A20%3A34.567Z; cart=eyJpdGVtcyI6W3sic2t1IjoiQTEyMyIsIm4iOjJ9LHsic2t1IjoiQjQ1NiIsIm4iOjF9XX0\r\n";

/// Returns the bytes of the request of a run.
pub(super) fn request(spec: &Spec) -> Vec<u8> {
    let others = match spec.head {
        Head::Small => "Connection: Upgrade\r\n",
        Head::Browser => BROWSER,
    };
    let offer = match spec.compression {
        Compression::Off => "",
        Compression::Kept => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        Compression::NotKept => {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
        }
    };
    format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n{others}Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{offer}\r\n",
        spec.address
    )
    .into_bytes()
}

/// Checks a response and returns the negotiated extensions, or `None` if the response is incomplete.
///
/// # Errors
///
/// Returns an error if the response does not open the connection, or if bytes follow it.
pub(super) fn response(bytes: &[u8]) -> Result<Option<String>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
        return Err(format!("the server does not open the connection: {head}").into());
    }
    if bytes.len() > end + 4 {
        return Err("the server sent bytes before it received a message".into());
    }
    let extensions = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-extensions").then(|| value.trim().to_owned())
    });
    Ok(Some(extensions.unwrap_or_default()))
}
