//! A stream of a peer to a server: the opening handshake, frames, and anything else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::protocol::Role;

fuzz_target!(|input: &[u8]| sockeye_fuzz::stream::run(Role::Server, false, input));
