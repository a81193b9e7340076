//! Removes credentials from URLs in error texts, because these end up in logs.

#[cfg(not(all(feature = "browser", target_family = "wasm")))]
use url::Url;

#[cfg(all(feature = "browser", target_family = "wasm"))]
pub(crate) use self::unparsed::redacted;

/// Replaces the user and the password of a URL with `***`: `ws://***@example.com/`.
///
/// The text may be invalid. Everything before its last `@` can then be a part of the password, and is replaced.
#[cfg(not(all(feature = "browser", target_family = "wasm")))]
pub(crate) fn redacted(url: &str) -> String {
    match Url::parse(url) {
        Ok(parsed) if parsed.has_authority() => redact_url(url, parsed),
        Ok(_) | Err(_) => redact_text(url),
    }
}

#[cfg(not(all(feature = "browser", target_family = "wasm")))]
fn redact_url(text: &str, mut url: Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return text.to_owned();
    }
    match url.set_password(None).and_then(|()| url.set_username("***")) {
        Ok(()) => url.as_str().to_owned(),
        Err(()) => redact_text(text),
    }
}

fn redact_text(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, host)) => format!("{}***@{host}", scheme(before)),
        None => text.to_owned(),
    }
}

/// Returns the scheme with the slashes that follow it. Without slashes, the scheme may be the user.
fn scheme(text: &str) -> &str {
    let name_len =
        text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(text.len());
    let (_, rest) = text.split_at(name_len);
    let Some(rest) = rest.strip_prefix(':') else { return "" };
    match rest.trim_start_matches(['/', '\\']) {
        after if after.len() < rest.len() => text.strip_suffix(after).unwrap_or_default(),
        _ => "",
    }
}

/// Redaction without the crate `url`. A program in a browser needs that crate for nothing else, and with its tables of Unicode it
/// would be more than twice as large.
#[cfg(any(test, all(feature = "browser", target_family = "wasm")))]
mod unparsed {
    use super::redact_text;

    /// Replaces the user and the password. What follows the scheme is kept only if it begins with something that is a host for
    /// certain.
    pub(crate) fn redacted(text: &str) -> String {
        let Some((scheme, rest)) = text.split_once(':') else { return redact_text(text) };
        let Some(rest) = rest.strip_prefix("//") else { return redact_text(text) };
        let (authority, path) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) if is_scheme(scheme) => format!("{scheme}://***@{host}{path}"),
            None if is_scheme(scheme) && is_host(authority) => text.to_owned(),
            _ => redact_text(text),
        }
    }

    fn is_scheme(text: &str) -> bool {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    }

    /// Whether this is a name or an IPv4 address, which a port may follow.
    fn is_host(text: &str) -> bool {
        let (name, port) = text.split_once(':').unwrap_or((text, ""));
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        is_name && port.chars().all(|c| c.is_ascii_digit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_replaced() {
        for (url, expected) in [
            ("ws://user:secret@example.com/chat?a@b", "ws://***@example.com/chat?a@b"),
            ("ws://user@example.com", "ws://***@example.com/"),
            ("wss://:secret@[::1]:3012/", "wss://***@[::1]:3012/"),
            ("WS:user:secret@example.com", "ws://***@example.com/"),
            ("other://user:secret@example.com/", "other://***@example.com/"),
        ] {
            assert_eq!(redacted(url), expected);
        }
    }

    #[test]
    fn user_and_password_are_replaced_without_a_parser() {
        for (url, expected) in [
            ("ws://user:secret@example.com/chat?a@b", "ws://***@example.com/chat?a@b"),
            ("ws://user@example.com", "ws://***@example.com"),
            ("wss://:secret@[::1]:3012/", "wss://***@[::1]:3012/"),
            ("ws://user:sec@ret@example.com/@", "ws://***@example.com/@"),
            ("WS:user:secret@example.com", "***@example.com"),
            ("ws://user:sec/ret@example.com/", "ws://***@example.com/"),
            ("ws://user:sec?ret@example.com/", "ws://***@example.com/"),
            ("w\ts://user:secret@example.com/", "***@example.com/"),
            ("http:/\\user:secret@example.com/?://", "http:/\\***@example.com/?://"),
            ("ws://example.com", "ws://example.com"),
            ("wss://a-b.example:3012/@a?b@c", "wss://a-b.example:3012/@a?b@c"),
            ("/relative?a", "/relative?a"),
            ("not a URL", "not a URL"),
            ("ws://", "ws://"),
            ("", ""),
        ] {
            assert_eq!(unparsed::redacted(url), expected);
        }
    }

    #[test]
    fn other_urls_are_unchanged() {
        for url in [
            "ws://example.com",
            "ws://example.com/@a?b@c",
            "ws+unix:///run/a@b.sock:/",
            "not a URL",
            "ws://",
            "",
            "data:,x",
        ] {
            assert_eq!(redacted(url), url);
        }
    }

    #[test]
    fn invalid_text_is_redacted_up_to_the_last_at_sign() {
        for (text, expected) in [
            ("ws://user:secret@", "ws://***@"),
            ("ws://user:secret@example.com:99999/", "ws://***@example.com:99999/"),
            ("ws://user:sec/ret@exa mple.com/", "ws://***@exa mple.com/"),
            ("ws://user:sec@ret@[::1/", "ws://***@[::1/"),
            ("ws//user:secret@example.com", "***@example.com"),
            ("//user:secret@example.com", "***@example.com"),
            (":user:secret@example.com", "***@example.com"),
            ("1user:secret@example.com", "***@example.com"),
            // A URL whose scheme is `user`.
            ("user:secret@example.com", "***@example.com"),
            ("w\ts:\\\\user:secret@\u{e9}:99999", "***@\u{e9}:99999"),
            ("\u{e9}\u{e9}:secret@\u{e9}", "***@\u{e9}"),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
            assert_eq!(unparsed::redacted(text), expected, "{text}");
        }
    }
}
