//! Header fields of requests and responses, and the lists that some of them contain.
//!
//! Every function examines each byte a bounded number of times, for any input.

use crate::protocol::ProtocolError;

/// The fields of a head, in their order. A name can appear more than once.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

pub(crate) const ACCEPT: &str = "Sec-WebSocket-Accept";
pub(crate) const CONNECTION: &str = "Connection";
pub(crate) const CONTENT_LENGTH: &str = "Content-Length";
pub(crate) const EXTENSIONS: &str = "Sec-WebSocket-Extensions";
pub(crate) const HOST: &str = "Host";
pub(crate) const KEY: &str = "Sec-WebSocket-Key";
pub(crate) const ORIGIN: &str = "Origin";
pub(crate) const PROTOCOL: &str = "Sec-WebSocket-Protocol";
pub(crate) const TRANSFER_ENCODING: &str = "Transfer-Encoding";
pub(crate) const UPGRADE: &str = "Upgrade";
pub(crate) const VERSION: &str = "Sec-WebSocket-Version";

/// Returns whether a field has this name. Names are case-insensitive (RFC 9110 §5.1).
#[inline]
pub(crate) fn is_named(field: &str, name: &str) -> bool {
    // Most names have the same case, and names of the same length differ in the first bytes.
    field.len() == name.len() && (field == name || field.eq_ignore_ascii_case(name))
}

/// Returns the first field with a name.
pub(crate) fn find<'h>(headers: &'h Headers, name: &str) -> Option<&'h Vec<u8>> {
    headers.iter().find(|(other, _)| is_named(other, name)).map(|(_, value)| value)
}

/// Returns the first field with a name, for changes.
pub(crate) fn find_mut<'h>(headers: &'h mut Headers, name: &str) -> Option<&'h mut Vec<u8>> {
    headers.iter_mut().find(|(other, _)| is_named(other, name)).map(|(_, value)| value)
}

/// Iterates over the values of all fields with a name.
pub(crate) fn all<'h>(headers: &'h Headers, name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |(other, _)| is_named(other, name)).map(|(_, value)| value.as_slice())
}

/// Returns the only field with a name.
///
/// A second one is an error even if it has the same value: two recipients could disagree on which of them counts.
pub(crate) fn single<'h>(headers: &'h Headers, name: &str) -> Result<Option<&'h [u8]>, ProtocolError> {
    let mut values = all(headers, name);
    let first = values.next();
    if values.next().is_some() { Err(ProtocolError::RepeatedHeader) } else { Ok(first.map(trim)) }
}

/// Replaces all fields with a name by one value, at the position of the first of them or at the end.
pub(crate) fn replace(headers: &mut Headers, name: &str, value: Vec<u8>) {
    match headers.iter().position(|(other, _)| is_named(other, name)) {
        None => headers.push((name.to_owned(), value)),
        Some(first) => {
            let mut at = 0_usize;
            headers.retain(|(other, _)| {
                let keep = at <= first || !is_named(other, name);
                at = at.saturating_add(1);
                keep
            });
            if let Some((_, old)) = headers.get_mut(first) {
                *old = value;
            }
        }
    }
}

/// Rejects a field that would not be received as exactly this field (H11).
pub(crate) fn check_sendable(name: &str, value: &[u8]) -> Result<(), ProtocolError> {
    if is_token(name.as_bytes()) && is_text(value) { Ok(()) } else { Err(ProtocolError::UnsendableHead) }
}

/// Iterates over the elements of a list that may be spread over several fields (RFC 9110 §5.3, §5.6.1).
///
/// Commas within quoted strings do not separate elements. Empty elements are skipped (RFC 9110 §5.6.1.2).
pub(crate) fn elements<'h>(headers: &'h Headers, name: &str) -> impl Iterator<Item = &'h [u8]> {
    all(headers, name).flat_map(split)
}

/// Returns whether a list contains a token, compared case-insensitively.
pub(crate) fn has_token(headers: &Headers, name: &str, token: &str) -> bool {
    let is_it = |element: &[u8]| element.eq_ignore_ascii_case(token.as_bytes());
    // Nearly always it is the only element.
    all(headers, name).any(|list| is_it(list) || split(list).any(is_it))
}

/// Returns whether a list consists of a token, compared case-insensitively. The token can be repeated.
pub(crate) fn has_only_token(headers: &Headers, name: &str, token: &str) -> bool {
    has_token(headers, name, token)
        && elements(headers, name).all(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// Appends an element to a list. If there is no field yet, one is added.
pub(crate) fn append_element(headers: &mut Headers, name: &str, element: &str) {
    match find_mut(headers, name) {
        Some(list) => {
            if !trim(list).is_empty() {
                list.push(b',');
            }
            list.extend_from_slice(element.as_bytes());
        }
        None => headers.push((name.to_owned(), element.as_bytes().to_vec())),
    }
}

/// Removes elements from a list, and the field if the list is then empty.
pub(crate) fn remove_elements(headers: &mut Headers, name: &str, unwanted: impl Fn(&[u8]) -> bool) {
    headers.retain_mut(|(other, list)| {
        if !is_named(other, name) || !split(list).any(&unwanted) {
            return true;
        }
        *list = split(list).filter(|element| !unwanted(element)).collect::<Vec<_>>().join(&b',');
        !list.is_empty()
    });
}

/// Splits one field into the elements of its list.
fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let list = rest?;
        let (element, others) = cut_at_comma(list);
        rest = others;
        Some(trim(element))
    })
    .filter(|element| !element.is_empty())
}

/// Splits before the first comma that is not within a quoted string (RFC 9110 §5.6.4).
fn cut_at_comma(list: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    let comma = list.iter().position(|byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted && !was_escaped => escaped = true,
            b'"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        *byte == b',' && !quoted
    });
    match comma.and_then(|at| list.split_at_checked(at)) {
        Some((element, others)) => (element, others.split_first().map(|(_, others)| others)),
        None => (list, None),
    }
}

/// Removes optional white space at both ends (RFC 9110 §5.6.3).
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns whether the bytes are a token (RFC 9110 §5.6.2): not empty, and without separators, spaces and controls.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Returns whether a byte may be part of a token (RFC 9110 §5.6.2).
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'|' | b'~')
}

/// Returns whether the bytes may be part of a field value or a reason phrase. The tab is the only control byte that may (RFC 9110
/// §5.5).
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is_text_byte(*byte))
}

/// Returns how many bytes at the front may be part of a field value (RFC 9110 §5.5).
pub(crate) fn text_len(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let plain = words.iter().take_while(|word| is_visible(**word)).count().saturating_mul(8);
    let rest = bytes.get(plain..).unwrap_or_default();
    let more = rest.iter().position(|byte| !is_text_byte(*byte)).unwrap_or(rest.len());
    plain.saturating_add(more)
}

/// Returns whether there is no control byte among eight. A tab counts as a control byte.
fn is_visible(bytes: [u8; 8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_ne_bytes(bytes);
    // The high bit of a byte below 0x20, or of 0x7f, is set. High bits of bytes after such a byte may be set as well.
    let low = word.wrapping_sub(0x2020_2020_2020_2020) & !word;
    let delete = word ^ 0x7f7f_7f7f_7f7f_7f7f;
    let is_delete = delete.wrapping_sub(0x0101_0101_0101_0101) & !delete;
    (low | is_delete) & HIGH == 0
}

/// Returns whether a byte may be part of a field value (RFC 9110 §5.5).
#[inline]
pub(crate) fn is_text_byte(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | 0x80.. | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn h5_tokens_are_found_in_any_case_and_in_any_field_or_list() {
        for fields in [
            &[("Connection", "Upgrade")][..],
            &[("connection", "upgrade")],
            &[("CONNECTION", "keep-alive, \tUPGRADE ,x")],
            &[("Connection", ",,upgrade,,")],
            &[("Connection", "keep-alive"), ("X", "y"), ("connection", "uPgRaDe")],
        ] {
            assert!(has_token(&headers(fields), CONNECTION, "upgrade"), "{fields:?}");
        }
    }

    #[test]
    fn h5_a_substring_is_not_a_token() {
        for value in [
            "notupgrade",
            "upgraded",
            "upgrade x",
            "up,grade",
            "\"upgrade\"",
            "\"a,upgrade\"",
            "upgrade;q=1",
            "",
        ] {
            assert!(!has_token(&headers(&[("Connection", value)]), CONNECTION, "upgrade"), "{value}");
        }
        assert!(!has_token(&headers(&[("X-Connection", "upgrade")]), CONNECTION, "upgrade"));
    }

    #[test]
    fn s4_1_only_one_token_is_in_a_list() {
        for value in ["websocket", "WebSocket", ",websocket, websocket,"] {
            assert!(has_only_token(&headers(&[("Upgrade", value)]), UPGRADE, "websocket"), "{value}");
        }
        for value in ["", "h2c", "websocket, h2c", "h2c,websocket", "websocket/13", "websocket;q=1"] {
            assert!(!has_only_token(&headers(&[("Upgrade", value)]), UPGRADE, "websocket"), "{value}");
        }
        let two_fields = headers(&[("Upgrade", "websocket"), ("upgrade", "h2c")]);
        assert!(!has_only_token(&two_fields, UPGRADE, "websocket"));
    }

    #[test]
    fn h6_lists_of_16_kib_are_split() {
        let size = 16 * 1024;
        for (byte, found) in
            [(" ", 0), (",", 0), ("\t,", 0), ("\"", 1), ("\\", 1), ("\",", size / 2), ("a,", size)]
        {
            let list = headers(&[("L", &byte.repeat(size))]);
            assert_eq!(elements(&list, "L").count(), found, "{byte:?}");
            assert!(!has_token(&list, "L", "b"));
        }
    }

    #[test]
    fn text_ends_before_the_first_byte_that_is_not_text() {
        for byte in 0..=255 {
            for at in 0..20 {
                let mut bytes = [b'x'; 20];
                bytes[at] = byte;
                assert_eq!(text_len(&bytes), if is_text_byte(byte) { 20 } else { at }, "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn h6_quoted_commas_do_not_split_elements() {
        let list = b" a ,\"b , \\\" c\" ,, d;e=\"f,g\" ,\"h";
        let parts: Vec<&[u8]> = split(list).collect();
        assert_eq!(parts, [&b"a"[..], b"\"b , \\\" c\"", b"d;e=\"f,g\"", b"\"h"]);
    }

    #[test]
    fn elements_are_added_and_removed() {
        let mut list = headers(&[("A", "1"), ("L", "x,  y; p=\"q,r\""), ("B", "2"), ("l", "x")]);
        append_element(&mut list, "L", "z");
        assert_eq!(find(&list, "L").unwrap(), b"x,  y; p=\"q,r\",z");
        remove_elements(&mut list, "L", |element| element == b"x");
        assert_eq!(list, headers(&[("A", "1"), ("L", "y; p=\"q,r\",z"), ("B", "2")]));
        remove_elements(&mut list, "L", |element| element == b"absent");
        assert_eq!(find(&list, "L").unwrap(), b"y; p=\"q,r\",z");
        remove_elements(&mut list, "L", |_| true);
        append_element(&mut list, "L", "new");
        assert_eq!(list, headers(&[("A", "1"), ("B", "2"), ("L", "new")]));
    }

    #[test]
    fn replacing_a_field_removes_its_duplicates() {
        let mut fields = headers(&[("A", "1"), ("n", "old"), ("B", "2"), ("N", "older")]);
        replace(&mut fields, "N", b"new".to_vec());
        assert_eq!(fields, headers(&[("A", "1"), ("n", "new"), ("B", "2")]));
        replace(&mut fields, "C", b"3".to_vec());
        assert_eq!(fields, headers(&[("A", "1"), ("n", "new"), ("B", "2"), ("C", "3")]));
        assert_eq!(single(&fields, "D"), Ok(None));
    }

    #[test]
    fn h11_names_and_values_that_would_split_a_field_are_rejected() {
        for (name, value) in [
            ("", "x"),
            ("A B", "x"),
            ("A:", "x"),
            ("A\r\nB", "x"),
            ("\u{c4}", "x"),
            ("A", "x\r\nB: y"),
            ("A", "x\ny"),
            ("A", "x\ry"),
            ("A", "x\0"),
            ("A", "\u{1b}[2J"),
            ("A", "\u{7f}"),
        ] {
            assert_eq!(
                check_sendable(name, value.as_bytes()),
                Err(ProtocolError::UnsendableHead),
                "{name:?} {value:?}"
            );
        }
        assert_eq!(check_sendable("X-A_b~", b"a\tb \xff"), Ok(()));
    }
}
