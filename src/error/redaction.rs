//! Removes credentials from URLs in error texts, because these end up in logs.

use url::Url;

/// Replaces the user and the password of a URL with `***`: `ws://***@example.com/`.
///
/// The text may be invalid. Everything before its last `@` can then be a part of the password, and is replaced.
pub(crate) fn redacted(url: &str) -> String {
    match Url::parse(url) {
        Ok(parsed) if parsed.has_authority() => redact_url(url, parsed),
        Ok(_) | Err(_) => redact_text(url),
    }
}

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
        }
    }
}
