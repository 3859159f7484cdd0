//! The guest's root file system without kernel: Debian packages, unpacked and configured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::AREA;
use crate::cache::{self, Key};
use crate::{command, debian, progress::Step};

/// Goes up when this file makes something else of the same packages.
const BUILDER: &str = "1";

/// The suite that the node is made of.
pub(super) const SUITE: &str = "trixie";

/// The suite with the later container runtime, and what is taken from it.
const LATER_SUITE: &str = "sid";
const LATER_PACKAGES: [&str; 2] = ["containerd", "runc"];

/// What nobody reads in a guest.
const LEFT_OUT: [&str; 5] = [
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/bash-completion/*",
];

/// The package list, as bytes, for the cache's key.
fn key() -> Result<Key> {
    Key::default().value("builder", BUILDER).value("suite", SUITE).file(&package_list())
}

fn package_list() -> PathBuf {
    cache::repository().join("tests/guest/packages.list")
}

/// The tree of the root file system, and its cache key.
pub(crate) fn tree() -> Result<(PathBuf, Key)> {
    let key = key()?;
    let home = cache::entry("rootfs", &key, |dir| bootstrap(&dir.join("root")))?;
    Ok((home.join("root"), key))
}

fn bootstrap(dest: &Path) -> Result<()> {
    let step = Step::begin(AREA, "making the root file system from Debian packages (20 s or more)");
    install(&package_list(), dest, &[])?;
    step.done();
    Ok(())
}

/// Makes a tree of Debian's essential packages and those of a list. The hooks are words for
/// mmdebstrap.
pub(super) fn install(list: &Path, dest: &Path, hooks: &[&str]) -> Result<()> {
    let list =
        fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let sources = dest.with_file_name("sources.list");
    fs::write(&sources, debian::source_line(SUITE)?).context("cannot write a sources list")?;
    let mut bootstrap = Command::new("mmdebstrap");
    bootstrap
        .args(["--variant=essential", "--mode=root", "--architectures=amd64"])
        .arg("--aptopt=Acquire::Languages \"none\"")
        .arg("--aptopt=Acquire::Retries \"3\"")
        .arg(format!("--include={}", package_names(&list).join(",")));
    for pattern in LEFT_OUT {
        bootstrap.arg(format!("--dpkgopt=path-exclude={pattern}"));
    }
    bootstrap.args(hooks).arg(SUITE).arg(dest).arg(&sources);
    command::run(&mut bootstrap)
}

fn package_names(list: &str) -> Vec<&str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// The tree of the later container runtime, and its cache key.
pub(crate) fn later_runtime() -> Result<(PathBuf, Key)> {
    let key = Key::default().value("builder", BUILDER).value(LATER_SUITE, LATER_PACKAGES.join(" "));
    let home = cache::entry("runtime", &key, |dir| {
        for package in LATER_PACKAGES {
            debian::unpack(LATER_SUITE, package, None, dir)?;
        }
        Ok(())
    })?;
    Ok((home, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_no_packages() {
        assert_eq!(package_names("# why\n\nrunc\n crun \n"), ["runc", "crun"]);
    }
}
