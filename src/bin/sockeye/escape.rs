//! Text for the terminal, without what a terminal would execute.

use std::fmt::Write;

/// The bytes of a row of a dump.
const ROW: usize = 16;
/// A dump shows this many bytes, and then how many follow.
const DUMPED: usize = 16 * ROW;

/// Escapes control characters, and the characters that change the direction of text, as in Rust: `\u{1b}`. Tabs stay, and lines after
/// the first one are indented, so that a message cannot look like output of the program.
pub(crate) fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => escaped.push_str("\n  "),
            '\t' => escaped.push('\t'),
            char if is_active(char) => escaped.extend(char.escape_unicode()),
            char => escaped.push(char),
        }
    }
    escaped
}

/// Escapes the same characters and also line breaks.
pub(crate) fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if is_active(char) || char == '\n' || char == '\t' {
            escaped.extend(char.escape_default());
        } else {
            escaped.push(char);
        }
    }
    escaped
}

/// Escapes what remains active in JSON, which escapes only a part of the control characters.
pub(crate) fn json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for char in json.chars() {
        if is_active(char) && char != '\n' {
            escaped.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            escaped.push(char);
        }
    }
    escaped
}

/// Whether a terminal or an editor does something else than to display the character.
fn is_active(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Formats the payload of a Ping, Pong or Close as one line: text in quotes, other bytes in hexadecimal.
pub(crate) fn payload(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(is_active) => format!("\"{text}\""),
        _ => hex(bytes),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Parses hexadecimal digits, which can be separated by spaces.
pub(crate) fn parse_hex(digits: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = digits.chars().filter(|char| !char.is_whitespace()).collect();
    let value = |char: char| char.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes.ok_or_else(|| "expected an even number of hexadecimal digits".to_owned())
}

/// Formats bytes as `hexdump -C` does, without a line break at the end.
pub(crate) fn dump(bytes: &[u8]) -> String {
    let mut rows: Vec<String> = Vec::new();
    for (index, row) in bytes[..bytes.len().min(DUMPED)].chunks(ROW).enumerate() {
        let digits: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String =
            row.iter().map(|byte| if is_printable(*byte) { char::from(*byte) } else { '.' }).collect();
        rows.push(format!("  {:08x}  {:47}  |{shown}|", index * ROW, digits.join(" ")));
    }
    if bytes.len() > DUMPED {
        rows.push(format!("  ... {} more bytes", bytes.len() - DUMPED));
    }
    rows.join("\n")
}

fn is_printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_a_terminal_executes_are_escaped() {
        assert_eq!(text("\u{1b}[2J\u{7}\r\u{9b}x"), "\\u{1b}[2J\\u{7}\\u{d}\\u{9b}x");
        assert_eq!(text("a\u{202e}b\u{2066}"), "a\\u{202e}b\\u{2066}");
        assert_eq!(text("tab\tand umlaut ä stay"), "tab\tand umlaut ä stay");
    }

    #[test]
    fn further_lines_are_indented() {
        assert_eq!(text("one\nconnected to x"), "one\n  connected to x");
        assert_eq!(line("one\ntwo\t"), "one\\ntwo\\t");
    }

    #[test]
    fn json_stays_json() {
        assert_eq!(json("{\"a\":\"\u{9b}\u{202e}ä\"}\n"), "{\"a\":\"\\u009b\\u202eä\"}\n");
    }

    #[test]
    fn payloads_are_text_if_possible() {
        assert_eq!(payload(b"hello"), "\"hello\"");
        assert_eq!(payload(b"\x1b["), "1b5b");
        assert_eq!(payload(&[0xff, 0x00]), "ff00");
    }

    #[test]
    fn hexadecimal_digits_are_parsed() {
        assert_eq!(parse_hex("00 fF 7a").unwrap(), [0x00, 0xff, 0x7a]);
        assert_eq!(parse_hex(""), Ok(Vec::new()));
        for wrong in ["0", "0g", "ä0", "0x00"] {
            assert!(parse_hex(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_dump_shows_offsets_digits_and_characters() {
        let dumped = dump(b"0123456789abcdef\x00z");
        let rows: Vec<&str> = dumped.lines().collect();
        assert_eq!(
            rows[0],
            "  00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|"
        );
        assert_eq!(rows[1], format!("  00000010  {:47}  |.z|", "00 7a"));
        assert!(dump(&[0; 300]).ends_with("  ... 44 more bytes"));
        assert_eq!(dump(&[0; 300]).lines().count(), 17);
    }
}
