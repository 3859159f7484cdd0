//! `cargo xtask ebpf`: the kernel side, built so that anyone gets the same bytes.
//!
//! The object is committed and embedded in the agent, so that a user needs no BPF toolchain.
//! Whoever does not want to trust the committed bytes builds them again with `--check`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use self::sysroot::Sysroot;
use self::toolchain::Toolchain;
use crate::{cache, command, progress::Step};

mod differences;
mod stage;
mod strip;
mod sysroot;
mod toolchain;

/// The first word of every progress line.
const AREA: &str = "ebpf";

/// The committed object, below the repository's top.
const OBJECT: &str = "ebpf/bulkhead.bpf.o";

const TARGET: &str = "bpfel-unknown-none";

/// What a check that found a difference exits with.
const DIFFERENT: u8 = 1;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail unless the committed object is what the sources give
    #[arg(long)]
    check: bool,
}

/// Does what the command line asked for.
pub(crate) fn perform(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.check {
        return Ok(if is_up_to_date()? { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) });
    }
    let built = Workshop::open()?.build()?;
    let path = cache::repository().join(OBJECT);
    fs::write(&path, &built).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("{AREA}: wrote {OBJECT}, {} bytes", built.len());
    Ok(ExitCode::SUCCESS)
}

/// Whether the committed object is what the sources give; tells where it is not.
pub(crate) fn is_up_to_date() -> Result<bool> {
    let built = Workshop::open()?.build()?;
    let path = cache::repository().join(OBJECT);
    let committed = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if committed == built {
        eprintln!("{AREA}: {OBJECT} is what the sources give, byte for byte");
        return Ok(true);
    }
    eprintln!("{AREA}: {OBJECT} is not what the sources give:");
    for difference in differences::between(&committed, &built)? {
        eprintln!("{AREA}:   {difference}");
    }
    eprintln!("{AREA}: run `cargo xtask ebpf` and commit the object with the sources");
    Ok(false)
}

/// Whether clippy has nothing to say on the kernel side; it tells what it has.
pub(crate) fn clippy() -> Result<bool> {
    Workshop::open()?.clippy()
}

/// The sources and all that works on them.
#[derive(Debug)]
struct Workshop {
    home: PathBuf,
    sources: PathBuf,
    sysroot: Sysroot,
    linker: PathBuf,
    /// Two builds at once would change each other's sources.
    _lock: File,
}

impl Workshop {
    fn open() -> Result<Self> {
        let toolchain = Toolchain::provide()?;
        let home = cache::root().join("ebpf");
        let lock = cache::lock(&home.join("lock"))?;
        let sysroot = Sysroot::lay_out(&home.join("sysroot"), &toolchain.rust_source)?;
        let sources = home.join("sources");
        stage::fill(&sources, &cache::repository())?;
        command::run(cargo().args(["fetch", "--locked"]).current_dir(&sources))?;
        Ok(Self { home, sources, sysroot, linker: toolchain.linker, _lock: lock })
    }

    fn build(&self) -> Result<Vec<u8>> {
        let step = Step::begin(AREA, "building the kernel side");
        command::run_visibly(&mut self.cargo("build")?)?;
        let linked = self.target().join(TARGET).join("release/bulkhead");
        let bytes =
            fs::read(&linked).with_context(|| format!("cargo built no {}", linked.display()))?;
        let stripped = strip::debug_sections(&bytes)?;
        step.done();
        Ok(stripped)
    }

    fn clippy(&self) -> Result<bool> {
        let mut clippy = self.cargo("clippy")?;
        // Clippy stands in for the compiler, so the sysroot is told to it by name.
        clippy.env("SYSROOT", &self.sysroot.home);
        clippy.args(["--", "-Dwarnings", "-Dclippy::undocumented_unsafe_blocks"]);
        command::succeeds_visibly(&mut clippy)
    }

    fn target(&self) -> PathBuf {
        self.home.join("target")
    }

    fn cargo(&self, verb: &str) -> Result<Command> {
        let mut cargo = cargo();
        cargo
            .args([verb, "--quiet", "--locked", "--release", "-Zbuild-std=core"])
            .args(["--package", "bulkhead-ebpf", "--target", TARGET])
            .current_dir(&self.sources)
            // A stable compiler with what building `core` needs unlocked.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", &self.sysroot.rustc)
            .env("CARGO_TARGET_DIR", self.target())
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags()?.join("\x1f"));
        Ok(cargo)
    }

    /// The compiler's flags. Source paths are part of the object (BTF line information), so those
    /// of this machine are replaced by names that are the same everywhere.
    fn flags(&self) -> Result<Vec<String>> {
        let mut flags: Vec<String> = [
            "-Cdebuginfo=2",
            "-Clink-arg=--btf",
            // Else a clearing or copying of some bytes becomes a call of a loop over them.
            "-Clink-arg=--disable-expand-memcpy-in-order",
            "--cfg=bpf_target_arch=\"x86_64\"",
        ]
        .map(str::to_owned)
        .into();
        let mut replace = |path: &Path, name: &str| {
            flags.push(format!("--remap-path-prefix={}={name}", path.display()));
        };
        replace(&self.sources, "/bulkhead-source");
        replace(&self.sysroot.source, "/rust-source");
        for registry in toolchain::registry_sources()? {
            replace(&registry, "/crate-source");
        }
        Ok(flags)
    }
}

/// Cargo, without what the caller's environment would do to the bytes.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let changes_code = ["CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if changes_code || name.starts_with("RUSTC_") || name.ends_with("RUSTFLAGS") {
            cargo.env_remove(name.as_ref());
        }
    }
    cargo
}
