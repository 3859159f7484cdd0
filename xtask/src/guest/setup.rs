//! What the guest needs on this machine, installed when it is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::AREA;
use crate::{cache, command, debian, progress::Step};

/// A program and the Debian package that brings it.
const NEEDED: [(&str, &str); 9] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("zstd", "zstd"),
    ("lz4", "lz4"),
    ("xz", "xz-utils"),
    ("setpriv", "util-linux"),
    ("chroot", "coreutils"),
    ("dpkg-deb", "dpkg"),
];

/// The release whose own QEMU is too old to stand beside the tools of its backports: installing it
/// would remove a `qemu-utils` from there.
const BACKPORTED: &str = "bookworm";

/// Installs what is missing, and says so.
pub(crate) fn ensure() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let step = Step::begin(AREA, format!("installing {}", missing.join(" ")));
    install(&missing)?;
    step.done();
    let still = self::missing();
    if !still.is_empty() {
        bail!("{} installed, but their programs are not on the PATH", still.join(" "));
    }
    Ok(())
}

/// As `ensure`, and says so when there was nothing to do.
pub(crate) fn ensure_and_tell() -> Result<()> {
    if missing().is_empty() {
        eprintln!("{AREA}: everything needed is installed");
    }
    ensure()
}

fn missing() -> Vec<&'static str> {
    NEEDED.iter().filter(|(program, _)| !is_on_path(program)).map(|(_, package)| *package).collect()
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The system's directories are asked too: mke2fs is in one that not every PATH names.
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|directory| directory.join(program).is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    if !is_on_path("apt-get") {
        bail!("{} missing, and this machine has no apt-get to install them", packages.join(" "));
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let backports = release.lines().any(|line| line == format!("VERSION_CODENAME={BACKPORTED}"));
    let lists = cache::root().join("apt/host");
    fs::create_dir_all(lists.join("partial")).context("cannot make a directory for apt's lists")?;
    let apt = |verb: &str| -> Result<Command> {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        // Another installation on this machine may be under way.
        apt.args(["-o", "DPkg::Lock::Timeout=120"]);
        if backports {
            add_backports(&mut apt, &lists)?;
        }
        apt.arg(verb);
        Ok(apt)
    };
    command::run(&mut apt("update")?)?;
    let mut install = apt("install")?;
    install.args(["--yes", "--no-remove", "--no-install-recommends"]);
    if backports {
        install.arg(format!("--target-release={BACKPORTED}-backports"));
    }
    command::run(install.args(packages))
}

/// Lets apt see the backports beside the release, without a change to the machine's own sources.
fn add_backports(apt: &mut Command, lists: &Path) -> Result<()> {
    let mut sources = String::new();
    for suite in ["", "-updates", "-security", "-backports"] {
        sources += &debian::source_line(&format!("{BACKPORTED}{suite}"))?;
    }
    let list = lists.join("sources.list");
    fs::write(&list, sources).with_context(|| format!("cannot write {}", list.display()))?;
    for (option, value) in [
        ("Dir::Etc::sourcelist", list.display().to_string()),
        ("Dir::Etc::sourceparts", "-".to_owned()),
        ("Dir::State::lists", lists.display().to_string()),
        ("Dir::Cache::pkgcache", String::new()),
        ("Dir::Cache::srcpkgcache", String::new()),
    ] {
        apt.arg("-o").arg(format!("{option}={value}"));
    }
    Ok(())
}
