//! What the sockets without handlers share: the session, its options, and buffers.

pub(crate) mod byte_reader;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod options;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod read_buffer;
#[cfg(any(feature = "blocking", feature = "futures"))]
pub(crate) mod session;
