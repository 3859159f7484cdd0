//! The compiler with the sources of `core` in its sysroot, without a change to the toolchain.
//!
//! Cargo hashes the place of `core` into every symbol name, relative to the sysroot if it is below
//! it, else the absolute path, which is another one on every machine. So this lays a sysroot out:
//! links to the toolchain's own libraries and to the unpacked sources, and a compiler that uses it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// The machine that build scripts and macros run on.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// A sysroot of ours.
#[derive(Debug)]
pub(super) struct Sysroot {
    /// Its top.
    pub(super) home: PathBuf,
    /// A compiler that uses it.
    pub(super) rustc: PathBuf,
    /// Where it shows the compiler's sources.
    pub(super) source: PathBuf,
}

impl Sysroot {
    /// Lays the sysroot out at `home`.
    pub(super) fn lay_out(home: &Path, rust_source: &Path) -> Result<Self> {
        let libraries = home.join("lib/rustlib");
        let source = libraries.join("src/rust");
        let rustc = home.join("bin/rustc");
        for directory in [libraries.join("src"), home.join("bin")] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        link(rust_source, &source)?;
        let toolchain = command::output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let own = Path::new(toolchain.trim_end()).join("lib/rustlib").join(HOST);
        link(&own, &libraries.join(HOST))?;
        write_wrapper(&rustc, home)?;
        Ok(Self { home: home.to_path_buf(), rustc, source })
    }
}

/// Makes or mends a link.
fn link(to: &Path, at: &Path) -> Result<()> {
    if fs::read_link(at).is_ok_and(|now| now == to) {
        return Ok(());
    }
    if at.is_symlink() {
        fs::remove_file(at).with_context(|| format!("cannot remove {}", at.display()))?;
    }
    symlink(to, at).with_context(|| format!("cannot make {}", at.display()))
}

/// Cargo takes a compiler whose script is newer for another compiler, so it is written once.
fn write_wrapper(path: &Path, sysroot: &Path) -> Result<()> {
    let quoted = sysroot.display().to_string().replace('\'', r"'\''");
    let script = format!("#!/bin/sh\nexec rustc --sysroot '{quoted}' \"$@\"\n");
    if fs::read_to_string(path).is_ok_and(|now| now == script) {
        return Ok(());
    }
    fs::write(path, script).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_names_our_sysroot_and_the_sources_lie_where_cargo_looks() {
        let home = tempfile::Builder::new().prefix("it's a sysroot ").tempdir().unwrap();
        let sources = tempfile::tempdir().unwrap();
        fs::create_dir(sources.path().join("library")).unwrap();
        for _again in 0..2 {
            let made = Sysroot::lay_out(home.path(), sources.path()).unwrap();
            let said = command::output(Command::new(&made.rustc).args(["--print", "sysroot"]));
            assert_eq!(said.unwrap().trim_end(), home.path().to_str().unwrap());
            assert!(home.path().join("lib/rustlib/src/rust/library").is_dir());
        }
    }
}
