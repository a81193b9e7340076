//! What several fuzz targets share.
//!
//! An input is decoded by a [`Reader`]: a few bytes select a setup and where the stream is split, and the rest is the stream. A
//! target drives an [`End`](end::End) as a front end does, and compares what different splits of one stream lead to.

pub mod blocks;
pub mod end;
pub mod memory;
pub mod reader;
pub mod stream;

pub use reader::Reader;
