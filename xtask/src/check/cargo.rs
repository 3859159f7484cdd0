//! What cargo and its companions find.

use std::process::Command;

use anyhow::Result;

use super::Finding;
use crate::{cache, command, ebpf};

/// Both workspaces are formatted.
pub(super) fn format() -> Result<Finding> {
    let workspace = passes(cargo().args(["fmt", "--all", "--check"]))?;
    let kernel_side =
        passes(cargo().args(["fmt", "--check", "--manifest-path", "ebpf/Cargo.toml"]))?;
    Ok(told(workspace && kernel_side))
}

/// Clippy on everything that runs in user space.
pub(super) fn clippy() -> Result<Finding> {
    let mut clippy = cargo();
    clippy.args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    Ok(told(passes(&mut clippy)?))
}

/// Clippy on the kernel side, for its own target.
pub(super) fn kernel_clippy() -> Result<Finding> {
    Ok(told(ebpf::clippy()?))
}

/// The committed object is what the sources give.
pub(super) fn object() -> Result<Finding> {
    Ok(told(ebpf::is_up_to_date()?))
}

/// Dependencies, where cargo-deny is installed.
pub(super) fn dependencies() -> Result<Finding> {
    if command::run(cargo().args(["deny", "--version"])).is_err() {
        return Ok(Finding::Skipped("cargo-deny is not installed".to_owned()));
    }
    // The advisories are in a database of their own, which changes without us.
    let what = ["licenses", "bans", "sources"];
    let workspace = passes(cargo().args(["deny", "check"]).args(what))?;
    let kernel_side =
        passes(cargo().args(["deny", "--manifest-path", "ebpf/Cargo.toml", "check"]).args(what))?;
    Ok(told(workspace && kernel_side))
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(cache::repository());
    cargo
}

/// Runs a tool that tells its findings itself.
fn passes(tool: &mut Command) -> Result<bool> {
    command::succeeds_visibly(tool)
}

/// The tool has told what there is to tell.
fn told(passed: bool) -> Finding {
    if passed { Finding::Clean } else { Finding::Faults(Vec::new()) }
}
