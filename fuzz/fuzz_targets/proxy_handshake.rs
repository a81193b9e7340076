//! The handshake of a client with a proxy: what the proxy sends. `src/connecting/proxy/script.rs` describes the scripts.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| sockeye::fuzzing::run_proxy_handshake(input));
