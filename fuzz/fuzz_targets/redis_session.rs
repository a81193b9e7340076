//! What a Redis server sends to the broker of a cluster: the events do not depend on how the bytes are split.
//! `src/cluster/redis/script.rs` describes the scripts.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| sockeye::fuzzing::run_redis_session(input));
