//! The test kit of the feature `testing`, as a program uses it for its handlers.

mod clock;
mod connecting;
mod errors;
mod handlers;
mod limits;
