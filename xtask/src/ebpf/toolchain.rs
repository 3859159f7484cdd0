//! What builds the kernel side: one compiler, the sources of its `core`, one linker.
//!
//! Each has exactly one version, and the sources exactly one origin; another one could give other
//! bytes from the same sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::AREA;
use crate::cache::{self, Key};
use crate::{command, debian, progress::Step};

/// The linker that goes with the compiler's own LLVM.
const LINKER_VERSION: &str = "0.10.4";

/// The suite whose `rust-src` has the version of `rust-toolchain.toml`.
const RUST_SOURCE_SUITE: &str = "trixie-backports";

/// Everything the build needs beside cargo.
#[derive(Debug)]
pub(super) struct Toolchain {
    /// The top of the compiler's sources; `library/` is below it.
    pub(super) rust_source: PathBuf,
    /// The linker's program.
    pub(super) linker: PathBuf,
}

impl Toolchain {
    /// Finds the parts, or fetches and builds those that are missing.
    pub(super) fn provide() -> Result<Self> {
        let version = wanted_rust()?;
        check_compiler(&version)?;
        Ok(Self { rust_source: rust_source(&version)?, linker: linker()? })
    }
}

/// The version that `rust-toolchain.toml` asks for.
fn wanted_rust() -> Result<String> {
    let path = cache::repository().join("rust-toolchain.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let table: toml::Table = text.parse().with_context(|| format!("{}", path.display()))?;
    let channel = table.get("toolchain").and_then(|toolchain| toolchain.get("channel"));
    let channel = channel.and_then(toml::Value::as_str);
    channel.map(str::to_owned).with_context(|| format!("{} names no channel", path.display()))
}

fn check_compiler(wanted: &str) -> Result<()> {
    let said = command::output(Command::new("rustc").arg("--version"))?;
    let found = said.split_whitespace().nth(1).unwrap_or_default();
    ensure!(
        found == wanted,
        "the kernel side is built with Rust {wanted}, and this is {found}; \
         another compiler gives another object"
    );
    Ok(())
}

/// The sources of `core`, from Debian's package: it has a signature and is there for all of
/// Debian and Ubuntu, and rustup's component may not be there offline.
fn rust_source(version: &str) -> Result<PathBuf> {
    let key = Key::default().value("version", version).value("suite", RUST_SOURCE_SUITE);
    let name = format!("rust-src-{version}");
    let top = cache::entry_in(&cache::root().join("ebpf"), &name, &key, |dir| {
        debian::unpack(RUST_SOURCE_SUITE, "rust-src", Some(version), dir)
    })?;
    let source = top.join("usr/src").join(format!("rustc-{version}"));
    ensure!(
        source.join("library/core").is_dir(),
        "the package rust-src has no library/core in {}",
        source.display()
    );
    Ok(source)
}

/// The linker: the one on the PATH if it has the right version, else one built into the cache.
fn linker() -> Result<PathBuf> {
    if has_version(Path::new("bpf-linker")) {
        return Ok("bpf-linker".into());
    }
    let home = cache::root().join("ebpf");
    let root = home.join(format!("bpf-linker-{LINKER_VERSION}"));
    let program = root.join("bin/bpf-linker");
    let _lock = cache::lock(&home.join("bpf-linker.lock"))?;
    if !has_version(&program) {
        let step = Step::begin(AREA, format!("building bpf-linker {LINKER_VERSION} (2 minutes)"));
        let mut install = super::cargo();
        install.args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--quiet"]);
        command::run(install.arg("--root").arg(&root).current_dir("/"))?;
        step.done();
    }
    if !has_version(&program) {
        bail!("{} was built and is not version {LINKER_VERSION}", program.display());
    }
    Ok(program)
}

fn has_version(program: &Path) -> bool {
    // A linker that is not there or does not start is one to build; a later check tells why.
    command::output(Command::new(program).arg("--version"))
        .is_ok_and(|said| said.trim() == format!("bpf-linker {LINKER_VERSION}"))
}

/// The directories below which cargo unpacks crates; a mirror has another name than the registry.
pub(super) fn registry_sources() -> Result<Vec<PathBuf>> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").context("neither CARGO_HOME nor HOME")?)
            .join(".cargo"),
    };
    let sources = home.join("registry/src");
    let mut found = Vec::new();
    for entry in
        fs::read_dir(&sources).with_context(|| format!("cannot list {}", sources.display()))?
    {
        found.push(entry?.path());
    }
    found.sort();
    Ok(found)
}
