//! permessage-deflate (RFC 7692): messages that are smaller on the wire.
//!
//! `settings` is what the caller may choose, `negotiation` what the two ends agree on. `compressor` and `inflater` turn
//! payloads into smaller ones and back, and `shared` holds those that many connections use in turn. The [`Codec`] of a
//! connection puts them together. Where RSV1 may stand is a matter of frames, and checked with their headers.
//!
//! Who keeps no context between messages owns nothing between messages: compressors and inflaters belong to the thread
//! then, as a message is compressed within one call. A message that comes in fragments borrows an inflater until it is
//! complete.

mod cache;
mod compressor;
mod frames;
mod inflater;
mod negotiation;
mod settings;
#[cfg(test)]
mod tests;
mod thread_local;

pub(crate) use self::cache::Cache;
pub(crate) use self::inflater::Sink;
pub use self::settings::Deflate;

use self::compressor::{Compressor, Key};
use self::inflater::Inflater;
use self::negotiation::Params;
use super::framing::frame::{Frame, Payload};
use super::handshake::{Extension, Request, Response};
use super::{Config, ProtocolError, Role};

/// The name under which the extension is negotiated (RFC 7692 §7).
const NAME: &str = "permessage-deflate";

/// How much longer than its message a compressed one may be, at most, in bytes.
const MAX_HEADROOM: usize = 512 * 1024;

/// Compression as the two ends of a connection have agreed on it.
#[derive(Debug)]
pub(crate) struct Codec {
    key: Key,
    /// Whether what was sent before may be referred to: then the compressor is ours alone, and so is its window.
    keeps_own: bool,
    /// Whether the peer may refer to what it has sent before.
    keeps_theirs: bool,
    threshold: usize,
    compressor: Option<Box<Compressor>>,
    /// There while a message is in progress, and between messages if the context is kept.
    inflater: Option<Box<Inflater>>,
}

/// Adds the offer to the request of a client, unless the program makes one itself.
pub(crate) fn offer(request: &mut Request, config: &Config) {
    let Some(wanted) = &config.deflate else { return };
    if offers_of(request).is_ok_and(|offers| offers.is_empty()) {
        request.add_extension(&negotiation::offer(wanted).to_string());
    }
}

/// Adds the answer to the best offer to the response that opens a connection, unless the program gives one itself.
pub(crate) fn answer(response: &mut Response, request: &Request, config: &Config) {
    let Some(wanted) = &config.deflate else { return };
    let (Ok(offers), Ok(given)) = (offers_of(request), named(response.headers())) else { return };
    if let ([], Some(answer)) = (given.as_slice(), negotiation::answer(wanted, &offers)) {
        response.add_extension(&answer.to_string());
    }
}

/// Reads off the handshake what the two ends have agreed on, and checks that they may (RFC 7692 §5, §7.1).
pub(crate) fn agree(
    role: Role,
    request: &Request,
    response: &Response,
    config: &Config,
) -> Result<Option<Box<Codec>>, ProtocolError> {
    let Some(wanted) = &config.deflate else { return Ok(None) };
    let answer = match named(response.headers())?.as_slice() {
        [] => return Ok(None),
        [answer] => negotiation::check(role, wanted, &offers_of(request)?, answer)?,
        // RFC 7692 §6: two extensions that use the same bit cannot be used together.
        [_, _, ..] => return Err(ProtocolError::ExtensionMismatch),
    };
    Ok(Some(Box::new(Codec::new(role, wanted, &answer))))
}

/// Reads what a handshake that was performed elsewhere has agreed on.
pub(crate) fn resume(
    role: Role,
    extensions: &[Extension],
    config: &Config,
) -> Result<Option<Box<Codec>>, ProtocolError> {
    let Some(wanted) = &config.deflate else { return Ok(None) };
    let mut agreed = extensions.iter().filter(|extension| extension.name == NAME);
    match (agreed.next(), agreed.next()) {
        (None, _) => Ok(None),
        (Some(agreed), None) => Ok(Some(Box::new(Codec::new(role, wanted, &negotiation::agreed(agreed)?)))),
        // RFC 7692 §6: two extensions that use the same bit cannot be used together.
        (Some(_), Some(_)) => Err(ProtocolError::ExtensionMismatch),
    }
}

fn offers_of(request: &Request) -> Result<Vec<Extension>, ProtocolError> {
    named(request.headers())
}

fn named(headers: &Vec<(String, Vec<u8>)>) -> Result<Vec<Extension>, ProtocolError> {
    let mut extensions = Extension::parse_all(headers)?;
    extensions.retain(|extension| extension.name == NAME);
    Ok(extensions)
}

impl Codec {
    fn new(role: Role, wanted: &Deflate, agreed: &Params) -> Self {
        let (wanted_own, own, theirs) = match role {
            Role::Server => (wanted.server(), agreed.server(), agreed.client()),
            Role::Client => (wanted.client(), agreed.client(), agreed.server()),
        };
        let window_bits = own.window_bits.min(wanted_own.window_bits);
        Self {
            key: Key { window_bits, level: wanted.level() },
            // To keep less than was agreed on is always right.
            keeps_own: own.keeps_context && wanted_own.keeps_context,
            keeps_theirs: theirs.keeps_context,
            threshold: wanted.threshold.max(1),
            compressor: None,
            inflater: None,
        }
    }

    /// How much longer than the longest message its compressed form may be: what cannot be compressed grows a little,
    /// by an eighth if the sender takes no trouble at all.
    pub(crate) fn headroom(&self, max_message_size: usize) -> usize {
        (max_message_size / 8).saturating_add(64).min(MAX_HEADROOM)
    }

    /// A compressed message begins.
    pub(crate) fn begin(&mut self) {
        self.inflater.get_or_insert_with(thread_local::take_inflater).begin();
    }

    /// Inflates a fragment of the message, which may still take `room` bytes, into `sink`.
    pub(crate) fn inflate(
        &mut self,
        payload: &[u8],
        room: usize,
        sink: &mut Sink<'_>,
    ) -> Result<(), ProtocolError> {
        self.inflater.get_or_insert_with(thread_local::take_inflater).inflate(payload, room, sink)
    }

    /// The last fragment of the message is there.
    pub(crate) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), ProtocolError> {
        self.inflater.get_or_insert_with(thread_local::take_inflater).finish(sink)?;
        // RFC 7692 §7.1.1: without a context to take over, the window starts empty with every message.
        if let Some(inflater) = self.inflater.take_if(|_| !self.keeps_theirs) {
            thread_local::give_inflater(inflater);
        }
        Ok(())
    }

    /// No message is received any more.
    pub(crate) fn stop_receiving(&mut self) {
        self.inflater = None;
    }

    /// No message is sent any more.
    pub(crate) fn stop_sending(&mut self) {
        self.compressor = None;
    }

    /// Compresses a frame that is a whole message, if that may be and is worth it.
    pub(crate) fn compress(&mut self, frame: Frame) -> Frame {
        let len = frame.as_slice().len();
        if !frame.may_be_compressed() || len < self.threshold || !self.key.is_possible() {
            return frame;
        }
        let compressed = match self.keeps_own {
            true => self.compress_in_context(frame.as_slice()),
            false => compress_alone(self.key, frame.as_payload()),
        };
        match compressed {
            Some(payload) => frame.into_compressed(payload),
            None => frame,
        }
    }

    /// The result is sent even where it is longer: the peer has to see all that the window has seen.
    fn compress_in_context(&mut self, bytes: &[u8]) -> Option<Payload> {
        let key = self.key;
        let compressor = self.compressor.get_or_insert_with(|| Box::new(Compressor::kept(key)));
        let compressed = compressor.compress(bytes, usize::MAX);
        if compressed.is_none() {
            // It should not be possible. A new one refers to nothing that the peer has not seen.
            self.compressor = None;
        }
        compressed.map(Payload::Bytes)
    }
}

/// Compresses a message for itself, once for all who share it; `None` if that does not make it smaller.
fn compress_alone(key: Key, payload: &Payload) -> Option<Payload> {
    let compress = |bytes: &[u8]| {
        let mut compressor = thread_local::take_compressor(key);
        let compressed = compressor.compress(bytes, bytes.len());
        thread_local::give_compressor(compressor);
        compressed
    };
    match payload {
        Payload::Shared(bytes, cache) => {
            let compressed = cache.compressed(key, || compress(bytes))?;
            Some(Payload::Shared(compressed, Cache::default()))
        }
        payload => compress(payload.as_slice()).map(Payload::Bytes),
    }
}
