//! permessage-deflate (RFC 7692): compression of messages.
//!
//! `settings` contains the settings of the caller, and `negotiation` the parameters on which two ends agree. `compressor` and
//! `inflater` compress and decompress payloads, `thread_local` keeps those that connections use in turn, and `cache` keeps
//! compressed payloads for many receivers. The [`Codec`] of a connection combines them. The position of RSV1 is checked with
//! the headers of frames.
//!
//! A connection without context owns nothing between messages: it takes compressors and decompressors from the thread. A
//! fragmented message keeps a decompressor until it is complete.

mod cache;
mod compressor;
mod frames;
mod inflater;
mod negotiation;
#[cfg_attr(not(feature = "reactor"), expect(dead_code, reason = "only the event loop works in steps"))]
mod outgoing;
mod settings;
#[cfg(test)]
mod tests;
mod thread_local;

pub(crate) use self::cache::Cache;
pub(crate) use self::inflater::{Sink, Step};
#[cfg(feature = "reactor")]
pub(crate) use self::outgoing::Compressed;
pub use self::settings::Deflate;

use self::compressor::{Compressor, Key};
use self::inflater::Inflater;
use self::negotiation::Params;
use super::framing::frame::{Frame, Payload};
use super::handshake::http::fields::Fields;
use super::handshake::{Extension, Request, Response};
use super::{Config, ProtocolError, Role};

/// The name under which the extension is negotiated (RFC 7692 §7).
const NAME: &str = "permessage-deflate";

/// By how many bytes a compressed message may exceed the limit for messages.
const MAX_HEADROOM: usize = 512 * 1024;

/// The compression on which the two ends of a connection have agreed.
#[derive(Debug)]
pub(crate) struct Codec {
    key: Key,
    /// Whether we keep our context between messages. Then the connection owns a compressor.
    keeps_own: bool,
    /// Whether the peer keeps its context between messages.
    keeps_theirs: bool,
    threshold: usize,
    compressor: Option<Box<Compressor>>,
    /// Present while a message is in progress, and between messages if the peer keeps its context.
    inflater: Option<Box<Inflater>>,
    /// A long message that is being compressed.
    outgoing: Option<Box<outgoing::Outgoing>>,
}

/// Adds the offer to the request of a client, unless the program has added one.
pub(crate) fn offer(request: &mut Request, config: &Config) {
    let Some(wanted) = &config.deflate else { return };
    if offers_of(request).is_ok_and(|offers| offers.is_empty()) {
        request.add_extension(&negotiation::offer(wanted).to_string());
    }
}

/// Adds the answer to the best offer to the response of a server, unless the program has added one.
pub(crate) fn answer(response: &mut Response, request: &Request, config: &Config) {
    let Some(wanted) = &config.deflate else { return };
    let (Ok(offers), Ok(given)) = (offers_of(request), named(response.fields())) else { return };
    if let ([], Some(answer)) = (given.as_slice(), negotiation::answer(wanted, &offers)) {
        response.add_extension(&answer.to_string());
    }
}

/// Returns the compression on which a handshake has agreed, after checking it (RFC 7692 §5, §7.1).
pub(crate) fn agree(
    role: Role,
    request: &Request,
    response: &Response,
    config: &Config,
) -> Result<Option<Box<Codec>>, ProtocolError> {
    let Some(wanted) = &config.deflate else { return Ok(None) };
    let answer = match named(response.fields())?.as_slice() {
        [] => return Ok(None),
        [answer] => negotiation::check(role, wanted, &offers_of(request)?, answer)?,
        // RFC 7692 §6: two extensions that use the same bit cannot be used together.
        [_, _, ..] => return Err(ProtocolError::ExtensionMismatch),
    };
    Ok(Some(Box::new(Codec::new(role, wanted, &answer))))
}

/// Returns the compression on which a handshake that was performed elsewhere has agreed.
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
    named(request.fields())
}

fn named(fields: &Fields) -> Result<Vec<Extension>, ProtocolError> {
    let mut extensions = Extension::parse_all(fields)?;
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
            // It is always allowed to keep less context than agreed.
            keeps_own: own.keeps_context && wanted_own.keeps_context,
            keeps_theirs: theirs.keeps_context,
            threshold: wanted.threshold.max(1),
            compressor: None,
            inflater: None,
            outgoing: None,
        }
    }

    /// By how many bytes a compressed message may exceed the limit for messages. Incompressible data grows a little, and by up to
    /// an eighth with the simplest compressors.
    pub(crate) fn headroom(&self, max_message_size: usize) -> usize {
        (max_message_size / 8).saturating_add(64).min(MAX_HEADROOM)
    }

    /// Begins a compressed message.
    pub(crate) fn begin(&mut self) {
        self.inflater.get_or_insert_with(thread_local::take_inflater).begin();
    }

    /// Decompresses a part of a fragment into `sink`: `rest` is what is left of it. The step ends after `step` bytes,
    /// approximately. The message may still grow by `room` bytes.
    pub(crate) fn inflate(
        &mut self,
        rest: &[u8],
        step: usize,
        room: usize,
        sink: &mut Sink<'_>,
    ) -> Result<Step, ProtocolError> {
        self.inflater.get_or_insert_with(thread_local::take_inflater).inflate(rest, step, room, sink)
    }

    /// Ends the message after its last fragment.
    pub(crate) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), ProtocolError> {
        self.inflater.get_or_insert_with(thread_local::take_inflater).finish(sink)?;
        // RFC 7692 §7.1.1: without a context to take over, the window starts empty with every message.
        if let Some(inflater) = self.inflater.take_if(|_| !self.keeps_theirs) {
            thread_local::give_inflater(inflater);
        }
        Ok(())
    }

    /// Returns how much memory the decompressor of an unfinished message occupies that is returned after the message, in bytes.
    #[cfg(feature = "reactor")]
    pub(crate) fn held_by_message(&self) -> usize {
        if self.keeps_theirs || self.inflater.is_none() { 0 } else { Inflater::SIZE }
    }

    /// Releases memory, because no more messages are received.
    pub(crate) fn stop_receiving(&mut self) {
        self.inflater = None;
    }

    /// Releases memory, because no more messages are sent.
    pub(crate) fn stop_sending(&mut self) {
        self.compressor = None;
        self.outgoing = None;
    }

    /// Compresses a frame if it is a whole message, if it allows compression, and if it is long enough.
    pub(crate) fn compress(&mut self, frame: Frame) -> Frame {
        if !self.compresses(&frame) {
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

    fn compresses(&self, frame: &Frame) -> bool {
        frame.may_be_compressed() && frame.as_slice().len() >= self.threshold && self.key.is_possible()
    }

    /// The result is sent even if it is longer than the message: the windows of both ends must contain the same data.
    fn compress_in_context(&mut self, bytes: &[u8]) -> Option<Payload> {
        let key = self.key;
        let compressor = self.compressor.get_or_insert_with(|| Box::new(Compressor::kept(key)));
        let compressed = compressor.compress(bytes, usize::MAX);
        if compressed.is_none() {
            // This should be impossible. A new compressor refers to nothing that the peer has not received.
            self.compressor = None;
        }
        compressed.map(Payload::Bytes)
    }
}

/// Compresses a message without context, once for all frames that share it. `None` if the result is not smaller.
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
