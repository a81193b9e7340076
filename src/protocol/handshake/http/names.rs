//! The names of the fields that the opening handshake examines.

/// The name of a field that the opening handshake examines. A received head records where these fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldName {
    Accept,
    Connection,
    ContentLength,
    Extensions,
    Host,
    Key,
    Origin,
    Protocol,
    TransferEncoding,
    Upgrade,
    Version,
}

impl FieldName {
    /// The number of names.
    pub(super) const COUNT: usize = 11;

    /// Returns the name as it is sent.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Accept => "Sec-WebSocket-Accept",
            Self::Connection => "Connection",
            Self::ContentLength => "Content-Length",
            Self::Extensions => "Sec-WebSocket-Extensions",
            Self::Host => "Host",
            Self::Key => "Sec-WebSocket-Key",
            Self::Origin => "Origin",
            Self::Protocol => "Sec-WebSocket-Protocol",
            Self::TransferEncoding => "Transfer-Encoding",
            Self::Upgrade => "Upgrade",
            Self::Version => "Sec-WebSocket-Version",
        }
    }

    /// Returns the name that these bytes are, in any case.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        // Two names have the same length, and differ in the first byte.
        let name = match (bytes.len(), bytes.first()) {
            (4, _) => Self::Host,
            (6, _) => Self::Origin,
            (7, _) => Self::Upgrade,
            (10, _) => Self::Connection,
            (14, _) => Self::ContentLength,
            (17, Some(b'T' | b't')) => Self::TransferEncoding,
            (17, _) => Self::Key,
            (20, _) => Self::Accept,
            (21, _) => Self::Version,
            (22, _) => Self::Protocol,
            (24, _) => Self::Extensions,
            _ => return None,
        };
        is_same(bytes, name.text().as_bytes()).then_some(name)
    }

    /// Returns the position of the name in a table of all names.
    pub(super) fn index(self) -> usize {
        usize::from(self as u8)
    }
}

/// Returns whether two names are the same. Names are case-insensitive (RFC 9110 §5.1).
#[inline]
pub(crate) fn is_same(name: &[u8], other: &[u8]) -> bool {
    // Most names have the same case, and names of the same length differ in the first bytes.
    name.len() == other.len() && (name == other || name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [FieldName; FieldName::COUNT] = [
        FieldName::Accept,
        FieldName::Connection,
        FieldName::ContentLength,
        FieldName::Extensions,
        FieldName::Host,
        FieldName::Key,
        FieldName::Origin,
        FieldName::Protocol,
        FieldName::TransferEncoding,
        FieldName::Upgrade,
        FieldName::Version,
    ];

    #[test]
    fn every_name_is_recognized_in_any_case() {
        for (index, name) in ALL.into_iter().enumerate() {
            let text = name.text();
            for spelling in [text.to_owned(), text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
                assert_eq!(FieldName::of(spelling.as_bytes()), Some(name), "{spelling}");
            }
            assert_eq!(name.index(), index);
            let longer = format!("{text}s");
            assert_eq!(FieldName::of(longer.as_bytes()), None, "{longer}");
            assert_eq!(FieldName::of(&text.as_bytes()[1..]), None, "{text} without its first byte");
        }
    }

    #[test]
    fn other_names_of_the_same_length_are_not_recognized() {
        for other in ["Date", "Cookie", "Expires", "User-Agent", "If-Unmodified-S", "Tec-WebSocket-Key", ""] {
            assert_eq!(FieldName::of(other.as_bytes()), None, "{other}");
        }
        // The bit that distinguishes the cases of letters is not ignored in other characters.
        assert_eq!(FieldName::of(b"Sec\rWebSocket\rKey"), None);
    }
}
