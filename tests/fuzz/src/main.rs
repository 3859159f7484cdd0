//! One target under libFuzzer: `BULKHEAD_FUZZ_TARGET` names it. `cargo xtask fuzz` builds and runs this.

#![no_main]

use std::sync::LazyLock;

use bulkhead_fuzz::{Target, named};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("BULKHEAD_FUZZ_TARGET").unwrap_or_default();
    named(&name).unwrap_or_else(|| {
        eprintln!("BULKHEAD_FUZZ_TARGET={name:?} is no target");
        std::process::exit(2)
    })
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Far in or not, the input is judged by the code that it reached.
    let _far_in: bool = (TARGET.run)(bytes);
});
