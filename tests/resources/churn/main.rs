//! L6, M14: thousands of connections that begin, and end, in every way that there is.
//!
//! The descriptors and the memory of the whole process are counted here, so that these tests have it to themselves.
#![cfg(feature = "reactor")]

mod books;
mod clients;
mod servers;
