//! Random inputs for unit tests. This module exists in test builds only.
//!
//! The tests in `tests/` use `proptest`. A unit test cannot: a development dependency of this package would be built for
//! every example.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The environment variable with the seed of the only input to try.
const SEED: &str = "SOCKEYE_SEED";

/// The number of inputs that each test tries.
const INPUTS: u32 = 256;

/// Calls `test` with generators of different seeds. If it panics, the seed is printed: `SOCKEYE_SEED=seed cargo test NAME`
/// tries that input alone.
pub(crate) fn for_each(mut test: impl FnMut(&mut StdRng)) {
    let fixed: Option<u64> = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    for _ in 0..if fixed.is_some() { 1 } else { INPUTS } {
        let seed = SeedReport(fixed.unwrap_or_else(rand::random));
        test(&mut StdRng::seed_from_u64(seed.0));
    }
}

/// Prints the seed when it is dropped by a panic.
struct SeedReport(u64);

impl Drop for SeedReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test failed with {SEED}={}", self.0);
        }
    }
}

/// Returns bytes whose number is in `len`.
pub(crate) fn bytes(rng: &mut StdRng, len: Range<usize>) -> Vec<u8> {
    let len = rng.random_range(len);
    (0..len).map(|_| rng.random()).collect()
}

/// Returns one of `choices`.
pub(crate) fn choose<T: Clone>(rng: &mut StdRng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())].clone()
}
