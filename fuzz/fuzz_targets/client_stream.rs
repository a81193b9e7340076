//! A stream of a peer to a client: the opening handshake, frames, and anything else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::protocol::Role;

fuzz_target!(|input: &[u8]| sockeye_fuzz::stream::run(Role::Client, false, input));
