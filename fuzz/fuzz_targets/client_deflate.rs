//! A stream of a peer to a client that supports permessage-deflate.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::protocol::Role;

fuzz_target!(|input: &[u8]| sockeye_fuzz::stream::run(Role::Client, true, input));
