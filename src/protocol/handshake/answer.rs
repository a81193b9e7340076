//! A response as it goes out: complete and correct HTTP/1.1, whatever the program made of it (RFC 9110, RFC 9112).

use super::Response;
use super::fields;
use super::http;
use crate::protocol::ProtocolError;

/// Headers about a connection that goes on, which ours does not after any other status than 101.
const HOP_BY_HOP: [&str; 3] = [fields::CONNECTION, fields::ACCEPT, "Keep-Alive"];

/// What a response of a status has behind its head (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Neither a body nor a length.
    None,
    /// A length of zero.
    Empty,
    /// A length and, unless only the head was asked for, a body.
    Body,
}

impl Content {
    fn of(status: u16) -> Self {
        match status {
            101 | 204 | 304 => Self::None,
            205 => Self::Empty,
            _ => Self::Body,
        }
    }
}

impl Response {
    /// Appends the head and the body as they stand, for programs that write a response themselves.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnsendableHead`] if the status has not three digits, or the reason, a name or a value contains
    /// what would not arrive as it was meant, such as a line break. Nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        http::all_or_nothing(out, |out| {
            http::encode_status_line(self.status(), self.reason(), out)?;
            http::encode_fields(http::borrowed(self.headers()), out)?;
            out.extend_from_slice(self.body());
            Ok(())
        })
    }

    /// Appends the response as it answers a request; `head_request` says that the method was `HEAD`.
    ///
    /// With status 101 the headers go out as they are, and nothing behind them. With any other status:
    ///
    /// - `Content-Length` is what the body has, whatever was set; there is none where the status has no body (204, 304).
    /// - No body follows for a `HEAD` request or such a status.
    /// - `Connection: close` replaces what was set, since nothing that follows the request is read (H9).
    /// - What only belongs to a 101 is left out: `Sec-WebSocket-Accept`, and `Upgrade` except with 426, where RFC 9110
    ///   §15.5.22 demands it.
    /// - A missing reason becomes the usual one.
    ///
    /// There is no `Date`: the core has no clock (RFC 9110 §6.6.1).
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnsendableHead`] as [`encode`](Self::encode), and for another 1xx status than 101, which cannot
    /// be the last word on a request. Nothing is appended then.
    pub fn encode_for(&self, head_request: bool, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        http::all_or_nothing(out, |out| self.encode_answer(head_request, out))
    }

    fn encode_answer(&self, head_request: bool, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        if self.status() < 200 && self.status() != 101 {
            return Err(ProtocolError::UnsendableHead);
        }
        http::encode_status_line(self.status(), self.reason(), out)?;
        let content = Content::of(self.status());
        let length = self.content_length(content, head_request);
        let kept = http::borrowed(self.headers()).filter(|(name, _)| !self.is_ours(name));
        let connection = match self.status() {
            101 => None,
            // RFC 9110 §7.8: who sends Upgrade lists it in Connection.
            426 => Some("close, Upgrade"),
            _ => Some("close"),
        };
        let ours = [(fields::CONNECTION, connection), (fields::CONTENT_LENGTH, length.as_deref())];
        let ours = ours.into_iter().filter_map(|(name, value)| Some((name, value?.as_bytes())));
        http::encode_fields(kept.chain(ours), out)?;
        if content == Content::Body && !head_request {
            out.extend_from_slice(self.body());
        }
        Ok(())
    }

    /// Returns whether a field is left out, because what it says is said anew or would be wrong.
    fn is_ours(&self, name: &str) -> bool {
        let is_any_of = |names: &[&str]| names.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        let is_length = is_any_of(&[fields::CONTENT_LENGTH, fields::TRANSFER_ENCODING]);
        match self.status() {
            101 => is_length,
            426 => is_length || is_any_of(&HOP_BY_HOP),
            _ => is_length || is_any_of(&HOP_BY_HOP) || is_any_of(&[fields::UPGRADE]),
        }
    }

    fn content_length(&self, content: Content, head_request: bool) -> Option<String> {
        match content {
            Content::None => None,
            Content::Empty => Some("0".to_owned()),
            // RFC 9110 §9.3.2: the answer to HEAD may tell the length of the body that GET would have got.
            Content::Body if head_request && self.body().is_empty() => self.own_content_length(),
            Content::Body => Some(self.body().len().to_string()),
        }
    }

    fn own_content_length(&self) -> Option<String> {
        let digits = fields::single(self.headers(), fields::CONTENT_LENGTH).ok().flatten()?;
        let length: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(length.to_string())
    }
}
