//! Plain HTTP on the same port: `/` is the page, `/ws` the socket, and there is nothing else.

use sockeye::{Request, Response, Result};

const PAGE: &str = include_str!("chat.html");

/// Answers a request: with the page, with the upgrade to a WebSocket, or with what was wrong about it.
pub(crate) fn answer(request: &Request) -> Result<Response> {
    let path = request.resource().split('?').next().unwrap_or_default();
    match (path, request.method()) {
        ("/ws", _) => Response::from_request(request),
        ("/", "GET") => Ok(page(true)),
        ("/", "HEAD") => Ok(page(false)),
        ("/", _) => Ok(with(plain(405, "Method Not Allowed"), "Allow", "GET, HEAD")),
        _ => Ok(plain(404, "Not Found")),
    }
}

/// The page, or for HEAD only its head.
fn page(with_body: bool) -> Response {
    // Script and style carry a number that nobody can guess. Should a message ever find its way into the page as
    // markup, a script in it would lack the number, and the browser would not run it.
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let html = PAGE.replace("%nonce%", &nonce);
    let length = html.len().to_string();
    let mut response = Response::new(200, "OK", if with_body { html.into_bytes() } else { Vec::new() });
    if let Some(value) = response.header_mut("Content-Length") {
        *value = length.into_bytes();
    }
    [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", &policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ]
    .into_iter()
    .fold(response, |response, (name, value)| with(response, name, value))
}

fn plain(status: u16, reason: &str) -> Response {
    let body = format!("{status} {reason}\n").into_bytes();
    with(Response::new(status, reason, body), "Content-Type", "text/plain; charset=utf-8")
}

fn with(mut response: Response, name: &str, value: &str) -> Response {
    response.headers_mut().push((name.to_owned(), value.as_bytes().to_vec()));
    response
}
