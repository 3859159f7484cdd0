//! `cargo xtask fuzz`: bytes that break a promise, looked for by libFuzzer.
//!
//! The targets are in `tests/fuzz`. They are built with the stable compiler: LLVM's coverage pass is asked for
//! by `-C` flags, as cargo-fuzz does, which would be one program more to install and wants nothing that these
//! targets need. What a search finds worth keeping stays in the cache and is where the next one begins.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::said::Said;
use crate::{cache, command, progress::Step, side_by_side};

mod said;

/// The first word of every progress line.
const AREA: &str = "fuzz";

/// The package of the targets, its place, and its program.
const PACKAGE: &str = "bulkhead-fuzz";
const HOME: &str = "tests/fuzz";

/// Named, so that build scripts and procedural macros, which are for the host, are not instrumented.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Counts how often each edge of the code is taken, and shows the fuzzer what is compared with what.
const INSTRUMENTED: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// An input that takes longer is a finding, and so is one that takes more memory.
const MOST_SECONDS: u32 = 10;
const MOST_MEMORY: u32 = 2048;

/// What the task exits with when a target failed.
const FAULTY: u8 = 1;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Targets to run; all if none is named
    names: Vec<String>,
    /// How long each target is searched
    #[arg(long, value_name = "NUMBER", default_value = "10")]
    seconds: NonZeroUsize,
    /// Targets that run at the same time; as many as this machine has processors unless given
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZeroUsize>,
    /// Only try this input on the one target that is named, and show what it says
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// Does what the command line asked for.
pub(crate) fn perform(arguments: &Arguments) -> Result<ExitCode> {
    let targets = targets(&cache::repository().join(HOME).join("seeds"))?;
    if let Some(unknown) = arguments.names.iter().find(|name| !targets.contains(name)) {
        bail!("there is no target {unknown} (there are: {})", targets.join(", "));
    }
    if let Some(input) = &arguments.input {
        let [name] = arguments.names.as_slice() else { bail!("--input wants one target") };
        let mut fuzzer = fuzzer(&build()?, name);
        let passed = command::succeeds_visibly(fuzzer.env("RUST_BACKTRACE", "1").arg(input))?;
        return Ok(status(passed));
    }
    let wanted = if arguments.names.is_empty() { &targets } else { &arguments.names };
    let program = build()?;
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or_else(processors, usize::from).min(wanted.len());
    let seconds = arguments.seconds.get();
    eprintln!("{AREA}: {} targets, {seconds} s each, {jobs} at a time", wanted.len());
    let held = side_by_side::each(wanted, jobs, |_, name| search(&program, name, seconds))?;
    let failed = held.iter().filter(|held| !**held).count();
    println!("{AREA}: {} passed, {failed} failed, 0 skipped", wanted.len() - failed);
    Ok(status(failed == 0))
}

fn status(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::from(FAULTY) }
}

/// The targets are those that have seeds; `tests/fuzz/tests/seeds.rs` holds the two lists together.
fn targets(seeds: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in files(seeds)? {
        names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    ensure!(!names.is_empty(), "{} is empty", seeds.display());
    Ok(names)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut paths = list().with_context(|| format!("cannot list {}", directory.display()))?;
    paths.sort();
    Ok(paths)
}

/// Builds the targets; the path of their program.
fn build() -> Result<PathBuf> {
    let step = Step::begin(AREA, "building the targets");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| cache::repository().join("target"), PathBuf::from);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--profile", "fuzz", "--target", TARGET]);
    cargo.args(["--package", PACKAGE, "--bin", PACKAGE, "--features", "libfuzzer"]);
    cargo.current_dir(cache::repository()).env("CARGO_TARGET_DIR", &target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTED.join("\x1f"));
    command::run_visibly(&mut cargo)?;
    step.done();
    Ok(target.join(TARGET).join("fuzz").join(PACKAGE))
}

fn fuzzer(program: &Path, name: &str) -> Command {
    let mut fuzzer = Command::new(program);
    fuzzer.env("BULKHEAD_FUZZ_TARGET", name).env_remove("RUST_BACKTRACE");
    fuzzer.arg(format!("-timeout={MOST_SECONDS}")).arg(format!("-rss_limit_mb={MOST_MEMORY}"));
    fuzzer
}

/// Searches one target; true if it holds, and the search was one.
fn search(program: &Path, name: &str, seconds: usize) -> Result<bool> {
    let home = cache::root().join("fuzz").join(name);
    let (corpus, seeds, found) = (home.join("corpus"), home.join("seeds"), home.join("found"));
    for directory in [&corpus, &found] {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let committed = cache::repository().join(HOME);
    lay_out(&committed.join("seeds").join(name), &seeds)?;
    let before = files(&found)?;
    let mut fuzzer = fuzzer(program, name);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
    fuzzer.arg(format!("-artifact_prefix={}/", found.display()));
    let words = committed.join("words").join(format!("{name}.dict"));
    if words.exists() {
        fuzzer.arg(format!("-dict={}", words.display()));
    }
    let begun = Instant::now();
    let done = fuzzer.arg(&corpus).arg(&seeds).output();
    let done = done.with_context(|| format!("cannot start {}", program.display()))?;
    let said = Said::read(&String::from_utf8_lossy(&done.stderr));
    let crashed = !done.status.success();
    let fault = if crashed { Some(done.status.to_string()) } else { said.fault(seconds) };
    let word = if fault.is_none() { "ok" } else { "FAILED" };
    eprintln!("{AREA}: {name} {word}: {said} ({:.0} s)", begun.elapsed().as_secs_f64());
    let Some(fault) = fault else { return Ok(true) };
    eprintln!("{AREA}:   {fault}");
    if crashed {
        eprintln!("{}", said.last_words);
    }
    for input in files(&found)?.iter().filter(|input| !before.contains(input)) {
        let input = input.display();
        eprintln!("{AREA}:   again: cargo xtask fuzz {name} --input {input}");
    }
    Ok(false)
}

/// Puts the committed seeds where the fuzzer reads them: a file is one; of a `.hex` file, each line.
fn lay_out(committed: &Path, seeds: &Path) -> Result<()> {
    if seeds.exists() {
        fs::remove_dir_all(seeds).with_context(|| format!("cannot empty {}", seeds.display()))?;
    }
    fs::create_dir_all(seeds).with_context(|| format!("cannot make {}", seeds.display()))?;
    let mut all = BTreeMap::new();
    for path in files(committed)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        match name.strip_suffix(".hex") {
            Some(stem) => {
                for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
                    let bytes =
                        from_hex(line).with_context(|| format!("{name}: no hexadecimal"))?;
                    all.insert(format!("{stem}-{number}"), bytes);
                }
            }
            None => drop(all.insert(name, bytes)),
        }
    }
    for (name, bytes) in all {
        fs::write(seeds.join(&name), bytes).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

fn from_hex(line: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    line.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_hexadecimal_is_an_input_and_any_other_file_is_one_whole() {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("two.hex"), "00ff\n10\n").unwrap();
        fs::write(from.join("a.json"), "{}").unwrap();
        lay_out(&from, &to).unwrap();
        let read = |name: &str| fs::read(to.join(name)).unwrap();
        assert_eq!((read("two-0"), read("two-1")), (vec![0, 255], vec![16]));
        assert_eq!(read("a.json"), b"{}");
        fs::write(from.join("two.hex"), "0g\n").unwrap();
        assert!(lay_out(&from, &to).is_err());
    }
}
