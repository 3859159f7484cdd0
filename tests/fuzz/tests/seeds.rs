//! The seeds, without the fuzzer: each target begins behind the door, and no seed breaks a promise.

use bulkhead_fuzz::{TARGETS, seeds};

#[test]
fn every_target_has_seeds_that_are_taken_and_none_that_breaks_it() {
    for target in TARGETS {
        let taken = seeds(target.name).iter().filter(|seed| (target.run)(seed)).count();
        assert!(taken > 0, "no seed of {} got past the door", target.name);
    }
}
