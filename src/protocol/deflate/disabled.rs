//! What replaces permessage-deflate in a build without the feature: types without values.

use crate::protocol::handshake::{Extension, Request, Response};
use crate::protocol::{Config, Frame, ProtocolError, Role};

/// The settings of permessage-deflate (RFC 7692). They exist only with the feature `permessage-deflate`; in this build, an
/// `Option<Deflate>` is always `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deflate {}

impl Deflate {
    /// Returns the name of a field whose value is invalid.
    #[cfg(feature = "reactor")]
    pub(crate) fn nonsense(&self) -> Option<&'static str> {
        match *self {}
    }
}

/// The compression on which two ends have agreed, which never happens in this build.
#[derive(Debug)]
pub(crate) enum Codec {}

/// The compressed forms of a shared payload, which do not exist in this build.
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

    pub(crate) fn inflate(
        &mut self,
        _: &[u8],
        _: usize,
        _: usize,
        _: &mut Sink<'_>,
    ) -> Result<Step, ProtocolError> {
        match *self {}
    }

    pub(crate) fn finish(&mut self, _: &mut Sink<'_>) -> Result<(), ProtocolError> {
        match *self {}
    }

    #[cfg(feature = "reactor")]
    pub(crate) fn held_by_message(&self) -> usize {
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

    pub(crate) fn compress_or_wait(&mut self, _: Frame) -> Option<Frame> {
        match *self {}
    }
}

#[cfg(feature = "reactor")]
impl Codec {
    pub(crate) fn is_compressing(&self) -> bool {
        match *self {}
    }

    pub(crate) fn waiting_len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn held_by_outgoing(&self) -> usize {
        match *self {}
    }

    pub(crate) fn compress_part(&mut self) -> Option<Compressed> {
        match *self {}
    }
}

/// What a step of compression has led to.
#[cfg(feature = "reactor")]
#[derive(Debug)]
pub(crate) enum Compressed {
    #[expect(dead_code, reason = "nothing is compressed in this build")]
    Part,
    #[expect(dead_code, reason = "nothing is compressed in this build")]
    Ready(Frame, std::collections::VecDeque<Frame>),
}

/// How far a step of decompression has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) read: usize,
    pub(crate) is_last: bool,
}

/// Receives a message piece by piece.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), ProtocolError> + 'a;
