//! Scripts of the fuzz target `reactor`: those that once failed, and random ones.

use std::path::Path;
use std::{fs, io};

use rand::RngExt as _;

use crate::random_inputs;
use crate::reactor::script::{run, run_with_fault};

#[test]
fn random_scripts_leave_nothing_behind() {
    random_inputs::for_each(|rng| {
        let len = rng.random_range(0..200);
        // Small numbers are actions more often than lengths are small.
        let script: Vec<u8> = (0..len).map(|_| rng.random::<u8>() >> rng.random_range(0..4)).collect();
        run(&script);
    });
}

/// The seeds of the fuzz target. Together they contain every kind of action. The published package does not contain the folder
/// `fuzz`.
fn seeds() -> Option<Vec<Vec<u8>>> {
    let fuzz = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"));
    if !fuzz.exists() {
        return None;
    }
    let files = fs::read_dir(fuzz.join("seeds/reactor")).unwrap();
    Some(files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect())
}

/// Every system call of every script fails once. Connections that the fault does not concern lose nothing, opens and closes
/// balance, and no descriptor, timer or byte of memory is left.
#[test]
fn o2_every_call_of_the_system_can_fail() {
    let Some(seeds) = seeds() else { return };
    assert!(seeds.len() > 20);
    for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted, io::ErrorKind::OutOfMemory] {
        for seed in &seeds {
            let faults = (0..).take_while(|number| *number < run_with_fault(seed, *number, kind)).count();
            assert!(faults > 0, "no call has failed");
        }
    }
}
