//! The place of permessage-deflate in a build without the feature: types without values, and so nothing to do.

use crate::protocol::handshake::{Extension, Request, Response};
use crate::protocol::{Config, Frame, ProtocolError, Role};

/// The settings of permessage-deflate (RFC 7692). It is not in this build, so that there are none: what takes an
/// `Option<Deflate>` takes `None`. The feature `permessage-deflate` brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deflate {}

impl Deflate {
    /// Returns the name of a field whose value makes no sense.
    #[cfg(feature = "reactor")]
    pub(crate) fn nonsense(&self) -> Option<&'static str> {
        match *self {}
    }
}

/// Compression as two ends have agreed on it; here they never do.
#[derive(Debug)]
pub(crate) enum Codec {}

/// What a shared payload is when compressed; here that is never asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache;

impl Cache {
    pub(crate) fn new() -> Self {
        Self
    }
}

pub(crate) fn offer(_: &mut Request, _: &Config) {}

pub(crate) fn answer(_: &mut Response, _: &Request, _: &Config) {}

pub(crate) fn agree(
    _: Role,
    _: &Request,
    _: &Response,
    _: &Config,
) -> Result<Option<Box<Codec>>, ProtocolError> {
    Ok(None)
}

pub(crate) fn resume(_: Role, _: &[Extension], _: &Config) -> Result<Option<Box<Codec>>, ProtocolError> {
    Ok(None)
}

impl Codec {
    pub(crate) fn headroom(&self, _: usize) -> usize {
        match *self {}
    }

    pub(crate) fn begin(&mut self) {
        match *self {}
    }

    pub(crate) fn inflate(&mut self, _: &[u8], _: usize, _: &mut Sink<'_>) -> Result<(), ProtocolError> {
        match *self {}
    }

    pub(crate) fn finish(&mut self, _: &mut Sink<'_>) -> Result<(), ProtocolError> {
        match *self {}
    }

    pub(crate) fn stop_receiving(&mut self) {
        match *self {}
    }

    pub(crate) fn stop_sending(&mut self) {
        match *self {}
    }

    pub(crate) fn compress(&mut self, _: Frame) -> Frame {
        match *self {}
    }
}

/// Takes what a message is, piece by piece.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), ProtocolError> + 'a;
