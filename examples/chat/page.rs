//! Plain HTTP on the same port: `/` is the page, `/ws` the socket, and there is nothing else.

use sockeye::{Request, Response, Result};

const PAGE: &str = include_str!("chat.html");

/// Answers a request: with the page, with the upgrade to a WebSocket, or with what was wrong about it.
pub(crate) fn answer(request: &Request) -> Result<Response> {
    let path = request.resource().split('?').next().unwrap_or_default();
    match (path, request.method()) {
        ("/ws", _) => Response::from_request(request),
        // The library itself leaves out the body where HEAD asks for the head alone.
        ("/", "GET" | "HEAD") => page(),
        ("/", _) => plain(405, "Method Not Allowed", &[("Allow", "GET, HEAD")]),
        _ => plain(404, "Not Found", &[]),
    }
}

fn page() -> Result<Response> {
    // Script and style carry a number that nobody can guess. Should a message ever find its way into the page as
    // markup, a script in it would lack the number, and the browser would not run it.
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = Response::new(200, "OK", PAGE.replace("%nonce%", &nonce).into_bytes());
    response.set_header("Content-Type", "text/html; charset=utf-8")?;
    response.set_header("Content-Security-Policy", policy)?;
    response.set_header("X-Content-Type-Options", "nosniff")?;
    response.set_header("Referrer-Policy", "no-referrer")?;
    response.set_header("Cache-Control", "no-store")?;
    Ok(response)
}

fn plain(status: u16, reason: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let mut response = Response::new(status, reason, format!("{status} {reason}\n").into_bytes());
    response.set_header("Content-Type", "text/plain; charset=utf-8")?;
    for (name, value) in headers {
        response.set_header(name, value)?;
    }
    Ok(response)
}
