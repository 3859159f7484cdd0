//! Our own programs for the guest: static, so that they run on any node and inside any container.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::AREA;
use crate::{cache, command, progress::Step};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The profile of what users get.
pub(crate) const RELEASE: &str = "release";

/// A package to build, and the program that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    package: &'static str,
    name: &'static str,
}

/// The node agent.
pub(crate) const AGENT: Program = Program { package: "bulkhead-agent", name: "bulkhead" };

/// The client that starts pods.
pub(crate) const CRI: Program = Program { package: "bulkhead-cri", name: "bulkhead-cri" };

/// The OCI runtime wrapper.
pub(crate) const WRAPPER: Program =
    Program { package: "bulkhead-runtime", name: "bulkhead-runtime" };

/// What measures operations for `cargo xtask bench`.
pub(crate) const BENCH: Program = Program { package: "bulkhead-bench", name: "bulkhead-bench" };

/// Builds the programs with a profile of Cargo and returns their paths.
pub(crate) fn build(programs: &[Program], profile: &str) -> Result<Vec<PathBuf>> {
    let names: Vec<_> = programs.iter().map(|program| program.name).collect();
    let step = Step::begin(AREA, format!("building {} (static, {profile})", names.join(" and ")));
    let mut cargo = static_cargo("build", profile);
    for program in programs {
        cargo.args(["--package", program.package]);
    }
    command::run_visibly(&mut cargo)?;
    step.done();
    // Cargo's one exception to naming the directory after the profile.
    let directory = if profile == "dev" { "debug" } else { profile };
    let built = target_directory().join(TARGET).join(directory);
    programs
        .iter()
        .map(|program| {
            let path = built.join(program.name);
            path.canonicalize().with_context(|| format!("cargo built no {}", path.display()))
        })
        .collect()
}

/// Cargo, set up to make static programs.
fn static_cargo(verb: &str, profile: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([verb, "--quiet", "--profile", profile, "--target", TARGET])
        .current_dir(cache::repository())
        // A target directory of its own: other flags would make normal builds start over.
        .env("CARGO_TARGET_DIR", target_directory())
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo
}

/// Cargo, set up to build tests for a node. Without the node's programs: asked for a test, Cargo adds
/// the features that their own tests want, and what runs there would be compiled a second time.
pub(crate) fn test_cargo() -> Command {
    let mut cargo = static_cargo("test", "dev");
    cargo.arg("--no-run");
    cargo
}

/// Builds what a node runs, and returns the agent's path.
pub(crate) fn agent(profile: &str) -> Result<PathBuf> {
    build(&[AGENT, CRI, WRAPPER], profile)?
        .into_iter()
        .next()
        .context("the agent was built and has no path")
}

fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| cache::repository().join("target"), PathBuf::from)
        .join("guest")
}
