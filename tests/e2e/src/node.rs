//! The node that a test runs on.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::{Command, Output},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, ensure};

use crate::agent::PROGRAM;

/// What the guest's runner leaves on the node, and nothing else has.
const MARK: &str = "/share/.run";

/// One test at a time has the node.
static NODE: Mutex<()> = Mutex::new(());

/// The node, for one test alone.
#[derive(Debug)]
pub struct Node {
    _alone: MutexGuard<'static, ()>,
}

impl Node {
    /// The node for the test of this name, or nothing, told, where this is not the guest.
    #[must_use]
    pub fn claim(test: &str) -> Option<Self> {
        // After a test that failed the node is as good as it was before.
        let alone = NODE.lock().unwrap_or_else(PoisonError::into_inner);
        if !Path::new(MARK).exists() {
            tell(&format!("skipped: {test}: not on a guest node; use `cargo xtask e2e`"));
            return None;
        }
        forget_earlier_guards(test);
        Some(Self { _alone: alone })
    }

    /// As [`Self::claim`], for a test of a node on which BPF LSM is active, or is not.
    #[must_use]
    pub fn claim_with_bpf_lsm(test: &str, wanted: bool) -> Option<Self> {
        let node = Self::claim(test)?;
        let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        let active = modules.trim().split(',').any(|module| module == "bpf");
        if active != wanted {
            let is = if active { "active" } else { "not active" };
            tell(&format!("skipped: {test}: BPF LSM is {is} on this node ({})", modules.trim()));
            return None;
        }
        Some(node)
    }

    /// Starts the container runtime, if it does not run yet.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_runtime(&self) -> Result<()> {
        run(&mut Command::new("start-containerd")).map(drop)
    }
}

/// What an earlier test's agent left decides on until it is removed; where tests share an agent, it
/// is to stay.
fn forget_earlier_guards(test: &str) {
    let trouble = match Command::new(PROGRAM).arg("unload").output() {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    if !trouble.contains("stop the agent first") {
        tell(&format!("{test}: the guard of an earlier test stays: {trouble}"));
    }
}

/// Says something although the test may pass: libtest shows what a passing test prints to nobody.
pub fn tell(line: &str) {
    // Standard error that is gone takes nothing from the test's result.
    if let Err(error) = writeln!(io::stderr(), "{line}") {
        eprintln!("{line} ({error})");
    }
}

/// The version of containerd that the node was asked to have.
///
/// # Errors
/// When nobody has said which.
pub fn containerd() -> Result<String> {
    let version = fs::read_to_string("/share/.run/containerd");
    Ok(version.context("nobody has said which containerd is wanted")?.trim().to_owned())
}

/// Runs a program of the node that must succeed.
///
/// # Errors
/// When it cannot be started, or fails: with what it said.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}
