//! A lint that nobody opts into binds nobody.

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

/// The kernel side has other lints; see `cargo::kernel_clippy`.
const KERNEL_SIDE: &str = "ebpf/";

/// Checks each package's manifest and crate roots.
pub(super) fn check(tree: &Tree) -> Result<Finding> {
    let mut faults = Vec::new();
    let ours = |path: &str| !path.starts_with(KERNEL_SIDE);
    for manifest in tree.those(|path| ours(path) && path.ends_with("/Cargo.toml")) {
        let table: Table =
            manifest.text.parse().with_context(|| format!("cannot read {}", manifest.path))?;
        if !binds_itself(&table) {
            faults.push(format!("{}: no `[lints] workspace = true`", manifest.path));
        }
    }
    let roots = ["/src/main.rs", "/src/lib.rs"];
    for root in tree.those(|path| ours(path) && roots.iter().any(|root| path.ends_with(root))) {
        if allows_unsafe(&root.text) {
            faults.push(format!("{}: allows unsafe code in the whole crate", root.path));
        }
    }
    Ok(Finding::of(faults))
}

fn binds_itself(manifest: &Table) -> bool {
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    lints.and_then(Value::as_bool) == Some(true)
}

fn allows_unsafe(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("#![allow(") && line.contains("unsafe_code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_without_the_workspaces_lints_is_found() {
        let binds = |text: &str| binds_itself(&text.parse().unwrap());
        assert!(binds("[lints]\nworkspace = true\n"));
        assert!(!binds("[lints]\nworkspace = false\n"));
        assert!(!binds("[package]\nname = \"a\"\n"));
    }

    #[test]
    fn a_crate_that_allows_unsafe_as_a_whole_is_found() {
        assert!(allows_unsafe("//! Doc.\n#![allow(unsafe_code, reason = \"no\")]\n"));
        assert!(!allows_unsafe("#![forbid(unsafe_code)]\n"));
    }
}
