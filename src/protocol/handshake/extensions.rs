//! Lists of extensions and their parameters (§9.1).

use std::borrow::Cow;
use std::fmt;

use super::http::fields::Fields;
use super::http::grammar;
use super::http::names::FieldName;
use crate::protocol::ProtocolError;

/// The maximum number of extensions in a list, and of parameters of an extension. Real offers have a handful.
const MAX_ITEMS: usize = 64;

/// An extension in an opening handshake: offered by a client, or accepted by a server (§9.1).
///
/// `Display` formats it as in the header.
///
/// # Examples
///
/// ```
/// use sockeye::protocol::handshake::Extension;
///
/// let offers = Extension::parse_list(b"permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\"")?;
/// assert_eq!(offers[0].name, "permessage-deflate");
/// assert_eq!(offers[0].params[0], ("client_max_window_bits".to_owned(), None));
/// assert_eq!(offers[0].params[1], ("server_max_window_bits".to_owned(), Some("10".to_owned())));
/// # Ok::<(), sockeye::protocol::ProtocolError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The name, such as `permessage-deflate`.
    pub name: String,
    /// The parameters in their order, each with its value if it has one. A name can appear more than once.
    pub params: Vec<(String, Option<String>)>,
}

impl Extension {
    /// Parses the value of a `Sec-WebSocket-Extensions` header. Quoted values are returned without their quotes.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::MalformedList`] if the value does not follow the grammar of §9.1, or contains more than 64
    /// extensions, or an extension with more than 64 parameters.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::protocol::handshake::Extension;
    ///
    /// let extensions = Extension::parse_list(b"permessage-deflate; client_max_window_bits, x-other")?;
    /// assert_eq!((extensions.len(), extensions[1].name.as_str()), (2, "x-other"));
    /// # Ok::<(), sockeye::protocol::ProtocolError>(())
    /// ```
    pub fn parse_list(value: &[u8]) -> Result<Vec<Self>, ProtocolError> {
        let mut extensions = Vec::new();
        Cursor { rest: value }.list(0, &mut |part| part.append_to(&mut extensions))?;
        Ok(extensions)
    }

    /// Parses all `Sec-WebSocket-Extensions` headers as one list, which is empty if there is no such header.
    pub(crate) fn parse_all(fields: &Fields) -> Result<Vec<Self>, ProtocolError> {
        let mut extensions = Vec::new();
        visit_all(fields, |part| part.append_to(&mut extensions))?;
        Ok(extensions)
    }

    /// Checks what [`parse_all`](Self::parse_all) would parse.
    pub(crate) fn check_all(fields: &Fields) -> Result<(), ProtocolError> {
        visit_all(fields, drop)
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.params {
            match value {
                Some(value) => write!(f, "; {name}={value}")?,
                None => write!(f, "; {name}")?,
            }
        }
        Ok(())
    }
}

/// Returns whether an element of the list has this name or this text.
pub(super) fn is_named(element: &[u8], name: &str) -> bool {
    let own_name = element.split(|byte| *byte == b';').next().unwrap_or_default();
    element == grammar::trim(name.as_bytes()) || grammar::trim(own_name) == grammar::trim(name.as_bytes())
}

/// Checks that every extension of a response is one that the request offers (§4.1, item 5; §9.1).
///
/// Only the extension itself can check the parameters.
pub(super) fn check_choice(
    request: &Fields,
    response: &Fields,
    not_offered: ProtocolError,
) -> Result<(), ProtocolError> {
    // §11.3.2: the header MUST NOT appear more than once in a response.
    let Some(chosen) = response.single(FieldName::Extensions)? else { return Ok(()) };
    let offered = Extension::parse_all(request)?;
    let is_offered = |chosen: &Extension| offered.iter().any(|offer| offer.name == chosen.name);
    if Extension::parse_list(chosen)?.iter().all(is_offered) { Ok(()) } else { Err(not_offered) }
}

/// Parses all `Sec-WebSocket-Extensions` headers as one list.
fn visit_all<'v>(fields: &'v Fields, mut visit: impl FnMut(Part<'v>)) -> Result<(), ProtocolError> {
    let mut count = 0;
    for value in fields.all(FieldName::Extensions) {
        count = Cursor { rest: value }.list(count, &mut visit)?;
    }
    Ok(())
}

/// Parses a header from front to back.
struct Cursor<'v> {
    rest: &'v [u8],
}

/// What a list consists of. A parameter belongs to the extension before it.
enum Part<'v> {
    Name(&'v [u8]),
    Param(&'v [u8], Option<Cow<'v, [u8]>>),
}

impl Part<'_> {
    fn append_to(self, extensions: &mut Vec<Extension>) {
        match self {
            Self::Name(name) => extensions.push(Extension { name: text(name), params: Vec::new() }),
            Self::Param(name, value) => {
                let param = (text(name), value.as_deref().map(text));
                if let Some(last) = extensions.last_mut() {
                    last.params.push(param);
                }
            }
        }
    }
}

impl<'v> Cursor<'v> {
    /// `extension-list = 1#extension`; empty elements are skipped (RFC 9110 §5.6.1.2). `before` is the number of extensions in earlier
    /// headers. Returns it with those of this header.
    fn list(mut self, before: usize, visit: &mut impl FnMut(Part<'v>)) -> Result<usize, ProtocolError> {
        let mut count = before;
        loop {
            while self.eat(b',') {}
            if self.rest.is_empty() {
                break;
            }
            if count >= MAX_ITEMS {
                return Err(ProtocolError::MalformedList);
            }
            count = count.saturating_add(1);
            self.extension(visit)?;
            if !self.rest.is_empty() && !self.eat(b',') {
                return Err(ProtocolError::MalformedList);
            }
        }
        if count == before { Err(ProtocolError::MalformedList) } else { Ok(count) }
    }

    /// `extension = extension-token *( ";" extension-param )`.
    fn extension(&mut self, visit: &mut impl FnMut(Part<'v>)) -> Result<(), ProtocolError> {
        visit(Part::Name(self.token()?));
        let mut count = 0_usize;
        while self.eat(b';') {
            if count >= MAX_ITEMS {
                return Err(ProtocolError::MalformedList);
            }
            count = count.saturating_add(1);
            let name = self.token()?;
            let value = if self.eat(b'=') { Some(self.value()?) } else { None };
            visit(Part::Param(name, value));
        }
        Ok(())
    }

    /// `token | quoted-string`, where the quoted text, unescaped, MUST be a token, too.
    fn value(&mut self) -> Result<Cow<'v, [u8]>, ProtocolError> {
        if self.eat(b'"') { self.quoted().map(Cow::Owned) } else { self.token().map(Cow::Borrowed) }
    }

    fn token(&mut self) -> Result<&'v [u8], ProtocolError> {
        self.skip_space();
        let (token, rest) = self.rest.split_at_checked(grammar::token_len(self.rest)).unwrap_or_default();
        self.rest = rest;
        self.skip_space();
        if token.is_empty() { Err(ProtocolError::MalformedList) } else { Ok(token) }
    }

    /// The rest of a quoted string after its first quote (RFC 9110 §5.6.4).
    fn quoted(&mut self) -> Result<Vec<u8>, ProtocolError> {
        let mut text = Vec::new();
        loop {
            let (byte, rest) = match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    self.skip_space();
                    return if grammar::is_token(&text) {
                        Ok(text)
                    } else {
                        Err(ProtocolError::MalformedList)
                    };
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (*byte, rest),
                [] => return Err(ProtocolError::MalformedList),
            };
            text.push(byte);
            self.rest = rest;
        }
    }

    /// Consumes a separator and the white space after it.
    fn eat(&mut self, separator: u8) -> bool {
        self.skip_space();
        match self.rest.split_first() {
            Some((byte, rest)) if *byte == separator => {
                self.rest = rest;
                // Within quotes a space is part of the text.
                if separator != b'"' {
                    self.skip_space();
                }
                true
            }
            _ => false,
        }
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

/// Returns the text of a token, which is ASCII.
fn text(token: &[u8]) -> String {
    String::from_utf8_lossy(token).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list in the one form in which we write it.
    fn parsed(list: &str) -> Result<String, ProtocolError> {
        let extensions = Extension::parse_list(list.as_bytes())?;
        Ok(extensions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn s9_1_valid_lists_are_parsed() {
        for (list, expected) in [
            ("foo", "foo"),
            ("deflate-stream", "deflate-stream"),
            (
                "mux; max-channels=4; flow-control, deflate-stream",
                "mux; max-channels=4; flow-control, deflate-stream",
            ),
            ("private-extension", "private-extension"),
            ("foo;bar=\"baz\"", "foo; bar=baz"),
            ("foo;bar=\"\\b\\az\"", "foo; bar=baz"),
            (" foo ; bar\t=  baz ,\tqux ", "foo; bar=baz, qux"),
            (",, foo,,bar ,", "foo, bar"),
            ("foo; bar; bar=1; bar=2", "foo; bar; bar=1; bar=2"),
        ] {
            assert_eq!(parsed(list).as_deref(), Ok(expected), "{list}");
        }
    }

    #[test]
    fn s9_1_malformed_lists_are_rejected() {
        for list in [
            "",
            " ",
            ",",
            "foo bar",
            "foo;",
            "foo;;bar",
            "foo; =bar",
            "foo; bar=",
            "foo; bar=,",
            "foo; bar=\"\"",
            "foo; bar=\"a b\"",
            "foo; bar=\" a\"",
            "foo; bar=\"a,b\"",
            "foo; bar=\"a",
            "foo; bar=\"a\\",
            "foo; bar=\"a\\\"",
            "foo; bar=\"a\"b",
            "\"foo\"",
            "foo=bar",
            "foo; bar=baz=qux",
            "foo/1",
            "foo; b\u{e9}r",
            "foo; bar=(",
            "@",
        ] {
            assert_eq!(parsed(list), Err(ProtocolError::MalformedList), "{list}");
        }
    }

    #[test]
    fn s9_1_several_headers_form_one_list() {
        let field = |value: &str| (FieldName::Extensions.text().to_owned(), value.as_bytes().to_vec());
        let joined = Extension::parse_all(&Fields::from(vec![field("a, b; c"), field("d")])).unwrap();
        assert_eq!(
            joined.iter().map(|extension| extension.name.as_str()).collect::<Vec<_>>(),
            ["a", "b", "d"]
        );
        assert_eq!(Extension::parse_all(&Fields::default()), Ok(vec![]));
        let with_empty = Fields::from(vec![field("a"), field("")]);
        assert_eq!(Extension::parse_all(&with_empty), Err(ProtocolError::MalformedList));
    }

    #[test]
    fn h6_long_lists_are_rejected_or_parsed_completely() {
        let size = 16 * 1024;
        for part in ["a,", "a;", "a;b,", "a; b=\"", "\"", "a \t", "a;b=\"\\\\\","] {
            assert_eq!(parsed(&part.repeat(size / part.len())), Err(ProtocolError::MalformedList), "{part}");
        }
        assert_eq!(parsed(&format!("a{}b", ",".repeat(size))).as_deref(), Ok("a, b"));
        assert_eq!(parsed(&format!("a{};b", " ".repeat(size))).as_deref(), Ok("a; b"));
        let escaped = format!("a; b=\"{}\"", "\\c".repeat(size));
        assert_eq!(parsed(&escaped), Ok(format!("a; b={}", "c".repeat(size))));
    }

    #[test]
    fn h6_the_number_of_extensions_and_parameters_is_limited() {
        assert!(parsed(&"a,".repeat(64)).is_ok());
        assert!(parsed(&"a,".repeat(65)).is_err());
        assert!(parsed(&format!("a{}", ";b".repeat(64))).is_ok());
        assert!(parsed(&format!("a{}", ";b".repeat(65))).is_err());
    }
}
