//! Scripts of the fuzz target `reactor`: those that once failed, and random ones.

use rand::RngExt as _;

use crate::random_inputs;
use crate::reactor::script::run;

#[test]
fn random_scripts_leave_nothing_behind() {
    random_inputs::for_each(|rng| {
        let len = rng.random_range(0..200);
        // Small numbers are actions more often than lengths are small.
        let script: Vec<u8> = (0..len).map(|_| rng.random::<u8>() >> rng.random_range(0..4)).collect();
        run(&script);
    });
}
