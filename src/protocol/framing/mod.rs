//! Frames on the wire (§5): one decoder, one encoder, and what both use.

pub(crate) mod assembler;
pub(crate) mod decoder;
pub(crate) mod encoder;
pub(crate) mod frame;
pub(crate) mod header;
pub mod mask;
pub(crate) mod message_ref;
mod partial_frame;
pub(crate) mod shared_message;
pub(crate) mod utf8;
