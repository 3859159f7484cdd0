//! What the kernel holds a container to, as its own `/proc` says.

use std::fs;

use anyhow::{Context, Result};

use crate::pod::Container;

/// What [`seccomp_of`] says of a process with one filter.
pub const FILTERED: [&str; 2] = ["2", "1"];

/// Seccomp mode and number of filters of the container's first process.
///
/// # Errors
/// When it is gone.
pub fn seccomp_of(container: &Container) -> Result<[String; 2]> {
    let path = format!("/proc/{}/status", container.pid);
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| line.trim().to_owned()).with_context(|| format!("{path} has no {name}"))
    };
    Ok([field("Seccomp:")?, field("Seccomp_filters:")?])
}

/// AppArmor's label of the container's first process.
///
/// # Errors
/// When it is gone.
pub fn apparmor_of(container: &Container) -> Result<String> {
    let path = format!("/proc/{}/attr/apparmor/current", container.pid);
    let label = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(label.trim().to_owned())
}
