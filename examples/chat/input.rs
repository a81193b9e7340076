//! What users enter: their names, the names of rooms, and messages. Values of these types are valid: only `parse` creates
//! them.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

use crate::limits::{MAX_NAME_CHARS, MAX_TEXT_CHARS, MAX_TEXT_LINES};
use crate::protocol::Rejection;

/// The name of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserName {
    name: String,
    /// Names that have the first or the second skeleton in common are alike.
    skeletons: [String; 2],
}

impl UserName {
    pub(crate) fn parse(raw: &str) -> Result<Self, Rejection> {
        let name = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        match name.chars().count() {
            0 => Err(Rejection::NO_NAME),
            1..=MAX_NAME_CHARS if name.chars().any(is_invisible) => Err(Rejection::INVISIBLE_NAME),
            1..=MAX_NAME_CHARS => Ok(Self { skeletons: skeletons(&name), name }),
            _ => Err(Rejection::LONG_NAME),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns the skeletons, for comparisons like [`is_like`](Self::is_like).
    #[cfg(feature = "redis")]
    pub(crate) fn skeletons(&self) -> &[String; 2] {
        &self.skeletons
    }

    /// Returns whether two names are equal except for case, or look the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.skeletons.iter().zip(&other.skeletons).any(|(a, b)| a == b)
    }
}

/// A secret that a page creates once. A new connection that presents the same key belongs to the same user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionKey(String);

impl SessionKey {
    pub(crate) fn parse(raw: &str) -> Option<Self> {
        let is_valid = (16..=64).contains(&raw.len()) && raw.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_valid.then(|| Self(raw.to_owned()))
    }

    /// Returns the secret.
    #[cfg(feature = "redis")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Does not print the key, so that it does not appear in a log.
impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// The name of a room: lowercase letters, digits and `-`, so that it can be part of a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoomName(String);

impl RoomName {
    pub(crate) fn parse(raw: &str) -> Result<Self, Rejection> {
        let name = raw.to_lowercase();
        let has_valid_chars = name.chars().all(|c| c.is_alphanumeric() || c == '-');
        let has_valid_len = (1..=MAX_NAME_CHARS).contains(&name.chars().count());
        if has_valid_chars && has_valid_len { Ok(Self(name)) } else { Err(Rejection::BAD_ROOM) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic to which the users in the room subscribe. No other topic begins with `#`.
    pub(crate) fn topic(&self) -> String {
        format!("#{}", self.0)
    }
}

/// The text of a message: not empty, not too long, and without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn parse(raw: &str) -> Result<Self, Rejection> {
        let printable: String = raw.chars().filter(|&c| c == '\n' || c == '\t' || !c.is_control()).collect();
        let text = printable.trim();
        if text.is_empty() {
            return Err(Rejection::NO_TEXT);
        }
        if text.chars().count() > MAX_TEXT_CHARS || text.lines().count() > MAX_TEXT_LINES {
            return Err(Rejection::LONG_TEXT);
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns two skeletons of a name: texts in which each character is replaced by the one that it looks like (Unicode
/// Technical Standard 39, section 4). Compatible forms, such as full-width letters, are replaced first.
///
/// One skeleton ignores the case last, and the other first. The Cyrillic `В` looks like `B` only in upper case, so it must be
/// replaced before its case is ignored. `I` is replaced by `l`, so its case must be ignored before that to find `i`.
fn skeletons(name: &str) -> [String; 2] {
    let name: String = name.nfkc().collect();
    let looks: String = skeleton(&name).collect();
    [fold_case(&looks), skeleton(&fold_case(&name)).collect()]
}

/// Removes the difference between upper and lower case. The upper case of `ß` is `SS`, so `ß` becomes `ss`.
fn fold_case(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}

/// Characters that are invisible or change the writing direction. With them, two different names could look the same.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_normalized() {
        assert_eq!(
            UserName::parse("  Ada \t Lovelace ").map(|name| name.name),
            Ok("Ada Lovelace".to_owned())
        );
        let longest = "é".repeat(MAX_NAME_CHARS);
        assert_eq!(UserName::parse(&longest).map(|name| name.name), Ok(longest));
    }

    #[test]
    fn deceptive_user_names_are_rejected() {
        assert_eq!(UserName::parse(" \n "), Err(Rejection::NO_NAME));
        assert_eq!(UserName::parse(&"a".repeat(MAX_NAME_CHARS + 1)), Err(Rejection::LONG_NAME));
        for name in ["A\u{200B}da", "\u{202E}adA", "Ada\u{FE0F}", "Ada\u{0}", "\u{3164}"] {
            assert_eq!(UserName::parse(name), Err(Rejection::INVISIBLE_NAME), "{name:?}");
        }
    }

    fn are_alike(a: &str, b: &str) -> bool {
        let [a, b] = [a, b].map(|name| UserName::parse(name).expect("valid name"));
        assert_eq!(a.is_like(&b), b.is_like(&a));
        a.is_like(&b)
    }

    #[test]
    fn names_that_differ_in_case_or_look_the_same_are_alike() {
        // The escapes are full-width, Cyrillic and Greek letters, and a ligature.
        for (name, other) in [
            ("Ada", "aDA"),
            ("IAN", "ian"),
            ("Straße", "STRASSE"),
            ("Ada", "\u{FF21}\u{FF44}\u{FF41}"),
            ("ada", "\u{FF21}\u{FF24}\u{FF21}"),
            ("Ada", "\u{410}d\u{430}"),
            ("ada", "\u{410}D\u{410}"),
            ("Bo", "\u{412}\u{43E}"),
            ("bo", "\u{412}\u{41E}"),
            ("Bo", "\u{392}\u{3BF}"),
            ("Finn", "\u{FB01}nn"),
            ("Ian", "lan"),
        ] {
            assert!(are_alike(name, other), "{name} {other}");
        }
    }

    #[test]
    fn names_that_look_different_are_not_alike() {
        for (name, other) in
            [("Ada", "Adam"), ("Ada", "\u{C4}da"), ("Ada", "A da"), ("Ольга", "Олег"), ("P1", "P2")]
        {
            assert!(!are_alike(name, other), "{name} {other}");
        }
    }

    #[test]
    fn session_keys_are_long_and_alphanumeric() {
        assert!(SessionKey::parse("0123456789abcdef").is_some());
        for bad in ["", "short", "0123456789abcde-", &"x".repeat(65)] {
            assert!(SessionKey::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn room_names_can_be_part_of_a_link() {
        assert_eq!(RoomName::parse("Über-2").map(|room| room.0), Ok("über-2".to_owned()));
        for bad in ["", "a b", "a/b", "#a", "<b>", &"a".repeat(MAX_NAME_CHARS + 1)] {
            assert_eq!(RoomName::parse(bad), Err(Rejection::BAD_ROOM), "{bad}");
        }
    }

    #[test]
    fn texts_keep_lines_but_no_control_characters() {
        assert_eq!(Text::parse(" a\n\tb\u{7}\r ").map(|text| text.0), Ok("a\n\tb".to_owned()));
        assert_eq!(Text::parse("\u{0} \n"), Err(Rejection::NO_TEXT));
        assert_eq!(Text::parse(&"x".repeat(MAX_TEXT_CHARS + 1)), Err(Rejection::LONG_TEXT));
        assert_eq!(Text::parse(&"x\n".repeat(MAX_TEXT_LINES + 1)), Err(Rejection::LONG_TEXT));
        assert!(Text::parse(&"🐟".repeat(MAX_TEXT_CHARS)).is_ok());
    }
}
