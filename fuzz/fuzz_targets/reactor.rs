//! The event loop on a scripted system: system calls return short results and errors, peers reset, time passes. Nothing is left at
//! the end. `src/reactor/script.rs` describes the scripts.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| sockeye::fuzzing::run_reactor(input));
