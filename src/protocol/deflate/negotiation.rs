//! The negotiation of parameters (RFC 7692 §5, §7.1), as pure functions.

use super::settings::{Deflate, MAX_WINDOW_BITS, MIN_WINDOW_BITS, Side};
use super::{Extension, NAME, ProtocolError, Role};

const SERVER_NO_CONTEXT: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// The parameters of an offer, or of the answer to one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// In an offer it may have no value: the client then supports every limit of the server.
    client_max_window_bits: Option<Option<u8>>,
}

/// Returns the offer of a client.
pub(super) fn offer(wanted: &Deflate) -> Extension {
    let (server, client) = (wanted.server(), wanted.client());
    let offer = Params {
        server_no_context_takeover: !server.keeps_context,
        client_no_context_takeover: !client.keeps_context,
        server_max_window_bits: limit(server.window_bits),
        client_max_window_bits: Some(limit(client.window_bits)),
    };
    offer.into_extension()
}

/// Returns the answer of a server to the first offer that it can accept, or `None` to decline all of them.
pub(super) fn answer(wanted: &Deflate, offers: &[Extension]) -> Option<Extension> {
    offers.iter().find_map(|offer| accept(wanted, &Params::parse(offer)?)).map(Params::into_extension)
}

fn accept(wanted: &Deflate, offer: &Params) -> Option<Params> {
    if offer.server_no_context_takeover && !wanted.accept_no_context_takeover {
        return None;
    }
    let (server, client) = (wanted.server(), wanted.client());
    let server_bits = server.window_bits.min(offer.server().window_bits);
    // RFC 7692 §7.1.2.1: an offer with a limit that the server does not support MUST be declined.
    if server_bits < MIN_WINDOW_BITS {
        return None;
    }
    Some(Params {
        server_no_context_takeover: !server.keeps_context || offer.server_no_context_takeover,
        // §7.1.1.2: the client announces that it will not keep its context. We accept, and keep none for it.
        client_no_context_takeover: !client.keeps_context || offer.client_no_context_takeover,
        // §7.1.2.1: an offer that limits our window is accepted with a limit that is not larger.
        server_max_window_bits: offer
            .server_max_window_bits
            .map_or(limit(server_bits), |_| Some(server_bits)),
        // §7.1.2.2: MUST NOT be in the answer unless it is in the offer.
        client_max_window_bits: offer.client_max_window_bits.and_then(|own_limit| {
            let bits = client.window_bits.min(own_limit.unwrap_or(MAX_WINDOW_BITS));
            own_limit.map_or(limit(bits), |_| Some(bits)).map(Some)
        }),
    })
}

/// Checks that an answer matches one of the offers: for the client that has received it, or for the server whose program has
/// created it.
pub(super) fn check(
    role: Role,
    wanted: &Deflate,
    offers: &[Extension],
    answer: &Extension,
) -> Result<Params, ProtocolError> {
    // §7.1: a client MUST fail the connection if a parameter is unknown, repeated, or has an invalid value.
    let answer = Params::parse(answer).ok_or(ProtocolError::ExtensionMismatch)?;
    let own = match role {
        Role::Server => answer.server(),
        Role::Client => answer.client(),
    };
    let may_be = own.keeps_context || wanted.accept_no_context_takeover;
    if may_be && offers.iter().filter_map(Params::parse).any(|offer| answer.fits(&offer)) {
        Ok(answer)
    } else {
        Err(ProtocolError::ExtensionMismatch)
    }
}

/// Reads the answer of a handshake that was performed elsewhere.
pub(super) fn agreed(answer: &Extension) -> Result<Params, ProtocolError> {
    // RFC 7692 §7.1.2.2: in an answer, the limit of the client's window always has a value.
    let is_answer = |params: &Params| params.client_max_window_bits != Some(None);
    Params::parse(answer).filter(is_answer).ok_or(ProtocolError::ExtensionMismatch)
}

/// Returns the limit of a window, unless the window has the largest size, which needs no parameter.
fn limit(bits: u8) -> Option<u8> {
    (bits < MAX_WINDOW_BITS).then_some(bits)
}

/// A decimal number from 8 to 15 without leading zeros (§7.1.2.1).
fn window_bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] | [b'1', digit @ b'0'..=b'5'] => {
            let tens = if value.len() == 2 { 10_u8 } else { 0 };
            tens.checked_add(digit.wrapping_sub(b'0'))
        }
        _ => None,
    }
}

impl Params {
    /// Parses the parameters. `None` means that an offer MUST be declined, or that an answer fails the connection: a parameter is
    /// unknown, repeated, or has an invalid value (§7.1).
    fn parse(extension: &Extension) -> Option<Self> {
        let mut params = Self::default();
        for (name, value) in &extension.params {
            let is_first = match (name.as_str(), value) {
                (SERVER_NO_CONTEXT, None) => set(&mut params.server_no_context_takeover),
                (CLIENT_NO_CONTEXT, None) => set(&mut params.client_no_context_takeover),
                (SERVER_BITS, Some(value)) => {
                    params.server_max_window_bits.replace(window_bits(value)?).is_none()
                }
                (CLIENT_BITS, Some(value)) => {
                    params.client_max_window_bits.replace(Some(window_bits(value)?)).is_none()
                }
                (CLIENT_BITS, None) => params.client_max_window_bits.replace(None).is_none(),
                _ => false,
            };
            if !is_first {
                return None;
            }
        }
        Some(params)
    }

    /// Whether this answer matches the offer.
    fn fits(&self, offer: &Self) -> bool {
        // §7.1.1.1, §7.1.2.1: the answer contains what the offer requires of the server.
        let resets = self.server_no_context_takeover || !offer.server_no_context_takeover;
        let server_fits = match (offer.server_max_window_bits, self.server_max_window_bits) {
            (None, _) => true,
            (Some(most), bits) => bits.is_some_and(|bits| bits <= most),
        };
        // §7.1.2.2: the window of the client is limited only if the offer allows it, and always with a value.
        let client_fits = match (offer.client_max_window_bits, self.client_max_window_bits) {
            (_, None) => true,
            (Some(most), Some(Some(bits))) => bits <= most.unwrap_or(MAX_WINDOW_BITS),
            (None, Some(_)) | (_, Some(None)) => false,
        };
        resets && server_fits && client_fits
    }

    pub(super) fn server(&self) -> Side {
        let window_bits = self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
        Side { keeps_context: !self.server_no_context_takeover, window_bits }
    }

    pub(super) fn client(&self) -> Side {
        let window_bits = self.client_max_window_bits.flatten().unwrap_or(MAX_WINDOW_BITS);
        Side { keeps_context: !self.client_no_context_takeover, window_bits }
    }

    fn into_extension(self) -> Extension {
        let flags = [
            (SERVER_NO_CONTEXT, self.server_no_context_takeover),
            (CLIENT_NO_CONTEXT, self.client_no_context_takeover),
        ];
        let bits = [
            (SERVER_BITS, self.server_max_window_bits.map(Some)),
            (CLIENT_BITS, self.client_max_window_bits),
        ];
        let flags = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| (name, None));
        let bits = bits.into_iter().filter_map(|(name, bits)| Some((name, bits?)));
        let written = flags.chain(bits);
        Extension {
            name: NAME.to_owned(),
            params: written
                .map(|(name, bits)| (name.to_owned(), bits.map(|bits| bits.to_string())))
                .collect(),
        }
    }
}

/// Sets a flag; returns whether it was clear before.
fn set(flag: &mut bool) -> bool {
    !std::mem::replace(flag, true)
}

#[cfg(test)]
#[path = "negotiation_tests.rs"]
mod tests;
