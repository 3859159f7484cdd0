//! Our own programs for the guest: static, so that they run on any node and inside any container.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::AREA;
use crate::{cache, command, progress::Step};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The packages to build, and the program that each makes.
const PROGRAMS: [(&str, &str); 2] =
    [("bulkhead-agent", "bulkhead"), ("bulkhead-cri", "bulkhead-cri")];

/// Builds the programs and returns their paths.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    let step = Step::begin(AREA, "building bulkhead (static, release)");
    let target = target_directory();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .current_dir(cache::repository())
        // A target directory of its own: other flags would make normal builds start over.
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    for (package, _) in PROGRAMS {
        cargo.args(["--package", package]);
    }
    command::run_visibly(&mut cargo)?;
    step.done();
    let release = target.join(TARGET).join("release");
    PROGRAMS
        .iter()
        .map(|(_, program)| {
            let path = release.join(program);
            path.canonicalize().with_context(|| format!("cargo built no {}", path.display()))
        })
        .collect()
}

fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| cache::repository().join("target"), PathBuf::from)
        .join("guest")
}
