//! HTTP on the same port: `/` is the page, and `/ws` is the WebSocket.

use sockeye::{Request, Response, Result};

const PAGE: &str = include_str!("chat.html");

/// Answers a request with the page, with the upgrade to a WebSocket, or with an error.
pub(crate) fn respond(request: &Request) -> Result<Response> {
    let path = request.resource().split('?').next().unwrap_or_default();
    match (path, request.method()) {
        ("/ws", _) => Response::from_request(request),
        // The library omits the body of the answer to HEAD.
        ("/", "GET" | "HEAD") => page(),
        ("/", _) => error(405, "Method Not Allowed", &[("Allow", "GET, HEAD")]),
        _ => error(404, "Not Found", &[]),
    }
}

fn page() -> Result<Response> {
    // The browser runs only scripts that carry this random number. If a message were ever inserted as markup, a script in
    // it would not run.
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

fn error(status: u16, reason: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let mut response = Response::new(status, reason, format!("{status} {reason}\n").into_bytes());
    response.set_header("Content-Type", "text/plain; charset=utf-8")?;
    for (name, value) in headers {
        response.set_header(name, value)?;
    }
    Ok(response)
}
