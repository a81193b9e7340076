//! Which redirects a client follows (RFC 9110 §15.4), and what it does not take along.

use url::Url;

use crate::protocol::handshake::{Request, Response};

/// The headers that are never sent to another origin. They are secrets of the first one, or of a proxy.
const SECRETS: [&str; 3] = ["Authorization", "Cookie", "Proxy-Authorization"];

/// Which origins a redirect may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RedirectScope {
    /// Only the same scheme, host and port, so that a server can neither collect credentials nor disable encryption (K5).
    #[default]
    SameOrigin,
    /// Any origin, but never from `wss` to `ws`, and without secrets.
    AnyOrigin,
}

impl RedirectScope {
    /// Returns the scope of a setting.
    pub(crate) fn crossing(is_allowed: bool) -> Self {
        if is_allowed { Self::AnyOrigin } else { Self::SameOrigin }
    }
}

/// The URL of a client, and which redirects it may still follow.
#[derive(Debug, Clone)]
pub(crate) struct Redirect {
    /// The URL of the current or next request.
    pub(crate) url: Url,
    /// How many redirects may follow.
    pub(crate) left: u8,
    /// Whether the next request must be made.
    pub(crate) is_due: bool,
    /// Whether a redirect has led to another origin. The way back does not change that.
    pub(crate) has_crossed: bool,
}

impl Redirect {
    pub(crate) fn new(url: Url, left: u8) -> Self {
        Self { url, left, is_due: false, has_crossed: false }
    }

    /// Follows a response if that is allowed. Returns whether it is.
    pub(crate) fn follow(&mut self, response: &Response, scope: RedirectScope) -> bool {
        if self.left == 0 || !matches!(response.status(), 301 | 302 | 303 | 307 | 308) {
            return false;
        }
        let location = response.header("Location").and_then(|value| std::str::from_utf8(value).ok());
        let Some(url) = location.and_then(|location| self.url.join(location).ok()) else { return false };
        let is_same_origin = is_same_origin(&self.url, &url);
        let target = if is_same_origin { Some(url) } else { elsewhere(&self.url, url, scope) };
        let Some(url) = target else { return false };
        self.has_crossed |= !is_same_origin;
        self.url = url;
        self.left -= 1;
        self.is_due = true;
        true
    }

    /// Removes from a request what must not reach another origin, if a redirect has led to one.
    pub(crate) fn remove_secrets(&self, request: &mut Request) {
        if self.has_crossed {
            let is_secret = |name: &str| SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name));
            request.headers_mut().retain(|(name, _)| !is_secret(name));
        }
    }
}

fn is_same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Returns the URL of a redirect to another origin, without credentials, if it may be followed.
fn elsewhere(from: &Url, to: Url, scope: RedirectScope) -> Option<Url> {
    let mut to = with_websocket_scheme(to)?;
    let is_allowed = scope == RedirectScope::AnyOrigin
        && matches!(from.scheme(), "ws" | "wss")
        && (from.scheme() == "ws" || to.scheme() == "wss");
    if !is_allowed {
        return None;
    }
    without_credentials(&mut to);
    Some(to)
}

/// Servers usually redirect to `http` and `https` URLs.
fn with_websocket_scheme(mut url: Url) -> Option<Url> {
    let scheme = match url.scheme() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return None,
    };
    url.set_scheme(scheme).ok()?;
    Some(url)
}

/// Removes the user and the password of a URL.
pub(crate) fn without_credentials(url: &mut Url) {
    // Both fail only for a URL that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, location: &str, scope: RedirectScope) -> Option<String> {
        let mut redirect = Redirect::new(from.parse().unwrap(), 1);
        let mut response = Response::new(302, "", Vec::new());
        response.set_header("Location", location).unwrap();
        let is_followed = redirect.follow(&response, scope);
        assert_eq!(is_followed, redirect.is_due);
        is_followed.then(|| redirect.url.to_string())
    }

    #[test]
    fn k5_only_the_same_origin_is_followed_by_default() {
        let follow = |location| follow("ws://u:p@a.example/x", location, RedirectScope::SameOrigin);
        assert_eq!(follow("/y").unwrap(), "ws://u:p@a.example/y");
        assert_eq!(follow("ws://a.example:80/y").unwrap(), "ws://a.example/y");
        for location in ["ws://b.example/", "wss://a.example/", "http://a.example/y", "//b.example/", "ws://"]
        {
            assert_eq!(follow(location), None, "{location}");
        }
    }

    #[test]
    fn k5_another_origin_is_followed_on_request() {
        let from = |from, location| follow(from, location, RedirectScope::AnyOrigin);
        let (plain, secure) = ("ws://u:p@a.example/x", "wss://u:p@a.example/x");
        for (url, location, expected) in [
            (plain, "ws://b.example/y", Some("ws://b.example/y")),
            (plain, "http://b.example:81/y", Some("ws://b.example:81/y")),
            (plain, "https://a.example/y", Some("wss://a.example/y")),
            (plain, "//b.example/y", Some("ws://b.example/y")),
            (plain, "ws://a.example:81/y", Some("ws://a.example:81/y")),
            (secure, "wss://b.example/y", Some("wss://b.example/y")),
            (secure, "https://c:d@b.example/y", Some("wss://b.example/y")),
            // Never without encryption.
            (secure, "ws://a.example/y", None),
            (secure, "http://b.example/y", None),
            (plain, "ws+unix:///run/socket", None),
            (plain, "ftp://b.example/", None),
            ("ws+unix:///run/socket", "ws://b.example/", None),
        ] {
            assert_eq!(from(url, location).as_deref(), expected, "{url} {location}");
        }
    }

    #[test]
    fn k5_secrets_stay_with_the_first_origin() {
        let mut redirect = Redirect::new("ws://u:p@a.example/".parse().unwrap(), 3);
        let request = |redirect: &Redirect| {
            let mut request = Request::from_url(&redirect.url).unwrap();
            for name in ["authorization", "Cookie", "PROXY-AUTHORIZATION", "X-Other"] {
                request.add_header(name, "secret").unwrap();
            }
            redirect.remove_secrets(&mut request);
            request
        };
        let mut go = |location: &str| {
            let mut response = Response::new(307, "", Vec::new());
            response.set_header("Location", location).unwrap();
            assert!(redirect.follow(&response, RedirectScope::AnyOrigin));
            request(&redirect)
        };
        let same = go("/same");
        assert!(SECRETS.iter().all(|name| same.header(name).is_some()));
        // The way back does not return them.
        for location in ["ws://b.example/", "ws://u:p@a.example/"] {
            let other = go(location);
            assert!(SECRETS.iter().all(|name| other.header(name).is_none()), "{location}");
            assert!(other.header("X-Other").is_some());
        }
    }

    #[test]
    fn the_number_of_redirects_is_limited() {
        let mut redirect = Redirect::new("ws://a.example/".parse().unwrap(), 2);
        let mut response = Response::new(301, "", Vec::new());
        response.set_header("Location", "/again").unwrap();
        let followed = (0..4).filter(|_| redirect.follow(&response, RedirectScope::SameOrigin));
        assert_eq!(followed.count(), 2);
    }
}
