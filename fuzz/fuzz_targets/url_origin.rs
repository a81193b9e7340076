//! URLs to requests, and the origins that a server accepts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::protocol::handshake::{OriginPolicy, unix_target};
use sockeye::{Origins, Request};
use url::Url;

fn check_url(text: &str) {
    let Ok(url) = text.parse::<Url>() else { return };
    if let Some((path, resource)) = unix_target(&url) {
        assert!(path.starts_with('/') && path.len() > 1 && !path.contains('\0'), "{path:?}");
        assert!(resource.starts_with('/'), "{resource:?}");
    }
    let Ok(request) = Request::from_url(&url) else { return };
    let mut head = Vec::new();
    request.encode(&mut head).expect("the request of a URL can be sent");
    let parsed = Request::parse(&head).expect("the request is valid").expect("the request is complete");
    assert_eq!((parsed.method(), parsed.resource()), ("GET", request.resource()));
    assert_eq!(parsed.headers(), request.headers());
    assert!(
        parsed.resource().starts_with('/') && !parsed.resource().contains('#'),
        "{:?}",
        parsed.resource()
    );
    let host = parsed.header("Host").expect("there is a Host");
    assert!(!host.contains(&b'@') && !host.is_empty(), "the user is not part of the Host");
}

fn check_origin(origin: &str, host: &str) {
    let mut request =
        Request::from_url(&"ws://placeholder/".parse().expect("the URL is valid")).expect("it has a host");
    if request.set_header("Host", host).is_err() || request.set_header("Origin", origin).is_err() {
        return;
    }
    let allows = |accepted: &str| OriginPolicy::Only(vec![accepted.to_owned()]).allows(&request);
    // White space around a value does not belong to it (RFC 9110 §5.5).
    let origin = origin.trim_matches([' ', '\t']);
    assert!(Origins::Any.allows(&request));
    let with_host = format!("https://{host}");
    if Origins::SameHost.allows(&request) {
        // An origin of the same host is an origin, and equal to itself in any case.
        assert!(allows(origin) && allows(&origin.to_ascii_uppercase()));
        assert!(origin.contains("://") && origin != "null");
    }
    if allows(&with_host) {
        assert!(Origins::SameHost.allows(&request), "{origin:?} is {with_host:?}");
    }
    for other in ["https://example.com", "http://localhost:8080", "null"] {
        if allows(other) {
            let (scheme, rest) = origin.split_once("://").unwrap_or(("", origin));
            let end = rest.find(':').unwrap_or(rest.len());
            let (expected, host) = other.split_once("://").unwrap_or(("", other));
            assert!(scheme.eq_ignore_ascii_case(expected), "{origin:?} is not {other:?}");
            assert!(host.starts_with(&rest[..end].to_ascii_lowercase()), "{origin:?} is not {other:?}");
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    check_url(line());
    check_origin(line(), line());
});
