//! HTTP on the same port: `/` is the page, `/ws` is the WebSocket, and `/metrics` and `/health` are for monitoring.
//!
//! Everyone who can open the page can read the last two. A server on the Internet restricts `/metrics`: its proxy rejects the
//! path, or a second event loop serves it on a private address. `docs/monitoring.md` describes this.

use std::time::Duration;

use sockeye::{Request, Response, Result, Sender};

use crate::site::Site;

const PAGE: &str = include_str!("chat.html");
/// The duration of a turn of the event loop after which the server is not healthy.
const MAX_LAG: Duration = Duration::from_secs(1);

/// Answers a request with a page, with the upgrade to a WebSocket, or with an error.
pub(crate) fn respond(request: &Request, out: &Sender, site: &Site) -> Result<Response> {
    let path = request.resource().split('?').next().unwrap_or_default();
    match (path, request.method()) {
        ("/ws", _) => Response::from_request(request),
        // The library omits the body of the answer to HEAD.
        ("/", "GET" | "HEAD") => page(site),
        ("/metrics", "GET" | "HEAD") => Ok(out.stats().to_response()),
        ("/health", "GET" | "HEAD") => health(out),
        ("/" | "/metrics" | "/health", _) => {
            let mut response = text(405, "Method Not Allowed", "405 Method Not Allowed")?;
            response.set_header("Allow", "GET, HEAD")?;
            Ok(response)
        }
        _ => text(404, "Not Found", "404 Not Found"),
    }
}

fn page(site: &Site) -> Result<Response> {
    // The browser runs only scripts that carry this random number. If a message were ever inserted as markup, a script in
    // it would not run.
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'{}; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        site.websocket_sources()
    );
    let rooms = if site.is_cluster { "shared" } else { "local" };
    let html = PAGE.replace("%nonce%", &nonce).replacen("%rooms%", rooms, 1).replacen(
        "%nodes%",
        &site.nodes.join(" "),
        1,
    );
    let mut response = Response::new(200, "OK", html.into_bytes());
    response.set_header("Content-Type", "text/html; charset=utf-8")?;
    response.set_header("Content-Security-Policy", policy)?;
    response.set_header("X-Content-Type-Options", "nosniff")?;
    response.set_header("Referrer-Policy", "no-referrer")?;
    response.set_header("Cache-Control", "no-store")?;
    Ok(response)
}

/// Returns 503 while the loop drains, so that a load balancer selects another server.
fn health(out: &Sender) -> Result<Response> {
    let health = out.health();
    if health.is_responsive(MAX_LAG) && !out.is_draining() {
        text(200, "OK", &health.to_string())
    } else {
        text(503, "Service Unavailable", &health.to_string())
    }
}

fn text(status: u16, reason: &str, body: &str) -> Result<Response> {
    let mut response = Response::new(status, reason, format!("{body}\n").into_bytes());
    response.set_header("Content-Type", "text/plain; charset=utf-8")?;
    Ok(response)
}
