//! As much of Redis' protocol as a relay needs: where a value ends, and which values are messages.

/// Returns the length of the first value. `None` if it is incomplete.
pub(crate) fn value_len(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|end| end == b"\r\n")?;
    let number = || std::str::from_utf8(&bytes[1..line]).ok()?.parse::<usize>().ok();
    let head = line + 2;
    match bytes[0] {
        // Without a number, it is null.
        b'$' | b'=' | b'!' => {
            Some(number().map_or(head, |len| head + len + 2)).filter(|end| *end <= bytes.len())
        }
        b'*' | b'~' | b'>' => {
            (0..number().unwrap_or(0)).try_fold(head, |at, _| Some(at + value_len(&bytes[at..])?))
        }
        b'%' => (0..2 * number().unwrap_or(0)).try_fold(head, |at, _| Some(at + value_len(&bytes[at..])?)),
        _ => Some(head),
    }
}

/// Whether a value is an integer, such as the reply to a publication.
pub(crate) fn is_integer(value: &[u8]) -> bool {
    value.first() == Some(&b':')
}

/// Whether a value delivers a publication.
pub(crate) fn is_message(value: &[u8]) -> bool {
    matches!(value.first(), Some(b'*' | b'>')) && value[1..].starts_with(b"3\r\n$7\r\nmessage\r\n")
}

/// If a value publishes something: returns the same for another channel, to which no node subscribes.
pub(crate) fn misdirected(value: &[u8]) -> Option<Vec<u8>> {
    const PUBLISH: &[u8] = b"*3\r\n$7\r\nPUBLISH\r\n";
    let channel = value.strip_prefix(PUBLISH)?;
    let payload = &channel[value_len(channel)?..];
    Some([PUBLISH, b"$7\r\nnowhere\r\n", payload].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_after_all_of_its_parts() {
        for value in [
            "+OK\r\n",
            ":12\r\n",
            "$3\r\n\r\n\n\r\n",
            "$-1\r\n",
            "*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
            "%1\r\n+a\r\n:1\r\n",
        ] {
            let more = format!("{value}+");
            assert_eq!(value_len(more.as_bytes()), Some(value.len()), "{value}");
            (0..value.len()).for_each(|len| assert_eq!(value_len(&value.as_bytes()[..len]), None, "{value}"));
        }
    }

    #[test]
    fn publications_are_recognized() {
        assert!(is_message(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n"));
        assert!(!is_message(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"));
        let publish = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$1\r\nb\r\n";
        let other = b"*3\r\n$7\r\nPUBLISH\r\n$7\r\nnowhere\r\n$1\r\nb\r\n";
        assert_eq!(misdirected(publish).as_deref(), Some(&other[..]));
        assert_eq!(misdirected(b"*1\r\n$4\r\nPING\r\n"), None);
    }
}
