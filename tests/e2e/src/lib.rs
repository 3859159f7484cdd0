//! End-to-end tests that run inside the guest node; `cargo xtask e2e` takes them there.

use std::path::Path;

/// Whether this is a guest node of `cargo xtask guest`. If not, says that the test is skipped:
/// what these tests deny and start is not for a machine that somebody uses.
pub fn in_guest() -> bool {
    let there = Path::new("/share/.run").is_dir();
    if !there {
        eprintln!("skipped: not on a guest node; use `cargo xtask e2e`");
    }
    there
}
