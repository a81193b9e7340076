//! A node of a cluster: what arrives from other nodes, and what its program and its broker do.
//! `src/cluster/script.rs` describes the scripts.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| sockeye::fuzzing::run_cluster_node(input));
