//! What people may call themselves, their rooms, and say. Each type can only be made from what has been checked, so
//! the rest of the program need not check again.

use std::fmt;

use crate::limits::{NAME_CHARS, TEXT_CHARS, TEXT_LINES};
use crate::protocol::Refusal;

/// A person's name, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn parse(raw: &str) -> Result<Self, Refusal> {
        let name = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        match name.chars().count() {
            0 => Err(Refusal::NoName),
            1..=NAME_CHARS if name.chars().any(is_unseen) => Err(Refusal::UnseenName),
            1..=NAME_CHARS => Ok(Self(name)),
            _ => Err(Refusal::LongName),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two names look alike but for upper and lower case.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }
}

/// What a page makes up once and keeps to itself: who shows it again is the same person, back on a new connection.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn parse(raw: &str) -> Option<Self> {
        let good = (16..=64).contains(&raw.len()) && raw.bytes().all(|byte| byte.is_ascii_alphanumeric());
        good.then(|| Self(raw.to_owned()))
    }
}

/// Whoever knows a key is that person, so it is not for a log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A room's name: lower-case letters, digits and `-`, so that it is also a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoomName(String);

impl RoomName {
    pub(crate) fn parse(raw: &str) -> Result<Self, Refusal> {
        let name = raw.to_lowercase();
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '-');
        let fits = (1..=NAME_CHARS).contains(&name.chars().count());
        if plain && fits { Ok(Self(name)) } else { Err(Refusal::BadRoom) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something to say: neither empty nor endless, and without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn parse(raw: &str) -> Result<Self, Refusal> {
        let kept: String = raw.chars().filter(|&c| c == '\n' || c == '\t' || !c.is_control()).collect();
        let text = kept.trim();
        if text.is_empty() {
            return Err(Refusal::NoText);
        }
        if text.chars().count() > TEXT_CHARS || text.lines().count() > TEXT_LINES {
            return Err(Refusal::LongText);
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that show nothing or turn the writing direction: with them two names could look the same.
fn is_unseen(c: char) -> bool {
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
    fn names_are_tidied() {
        assert_eq!(Name::parse("  Ada \t Lovelace ").map(|name| name.0), Ok("Ada Lovelace".to_owned()));
        assert_eq!(Name::parse(&"é".repeat(NAME_CHARS)).map(|name| name.0), Ok("é".repeat(NAME_CHARS)));
    }

    #[test]
    fn names_that_deceive_are_refused() {
        assert_eq!(Name::parse(" \n "), Err(Refusal::NoName));
        assert_eq!(Name::parse(&"a".repeat(NAME_CHARS + 1)), Err(Refusal::LongName));
        for unseen in ["A\u{200B}da", "\u{202E}adA", "Ada\u{FE0F}", "Ada\u{0}", "\u{3164}"] {
            assert_eq!(Name::parse(unseen), Err(Refusal::UnseenName), "{unseen:?}");
        }
    }

    #[test]
    fn keys_are_long_and_plain() {
        assert!(Key::parse("0123456789abcdef").is_some());
        for bad in ["", "short", "0123456789abcde-", &"x".repeat(65)] {
            assert!(Key::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn rooms_are_links() {
        assert_eq!(RoomName::parse("Über-2").map(|room| room.0), Ok("über-2".to_owned()));
        for bad in ["", "a b", "a/b", "#a", "<b>", &"a".repeat(NAME_CHARS + 1)] {
            assert_eq!(RoomName::parse(bad), Err(Refusal::BadRoom), "{bad}");
        }
    }

    #[test]
    fn texts_keep_lines_and_lose_control_characters() {
        assert_eq!(Text::parse(" a\n\tb\u{7}\r ").map(|text| text.0), Ok("a\n\tb".to_owned()));
        assert_eq!(Text::parse("\u{0} \n"), Err(Refusal::NoText));
        assert_eq!(Text::parse(&"x".repeat(TEXT_CHARS + 1)), Err(Refusal::LongText));
        assert_eq!(Text::parse(&"x\n".repeat(TEXT_LINES + 1)), Err(Refusal::LongText));
        assert!(Text::parse(&"🐟".repeat(TEXT_CHARS)).is_ok());
    }
}
