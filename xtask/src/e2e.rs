//! `cargo xtask e2e`: the end-to-end tests, each file in a guest node of its own.
//!
//! A file `tests/e2e/tests/NAME.rs` is built as a static program and runs in a fresh guest, with
//! `bulkhead` and the client that starts pods on the PATH. `tests/e2e/Cargo.toml` says which nodes
//! a file wants, in the words of `cargo xtask guest run`, one node a line:
//!
//! ```toml
//! [package.metadata.nodes]
//! tenants = ["--init systemd", "-k 6.1 --timeout 600"]
//! ```
//!
//! Several nodes run at a time, those of the files in `package.metadata.long` first, so that none is
//! left to run by itself at the end. A file that measures time is named in `package.metadata.alone` and
//! has the machine to itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::{cache, command, guest, progress::Step, side_by_side};

/// The first word of every progress line.
const AREA: &str = "e2e";

/// The package of the tests, and its place.
const PACKAGE: &str = "bulkhead-e2e";
const HOME: &str = "tests/e2e";

/// The node of a file that names none.
const ANY_NODE: &str = "";

/// What the task exits with when a test failed.
const FAULTY: u8 = 1;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Test files to run, without `.rs`; all if none is named
    names: Vec<String>,
    /// Run only the tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Run only on these nodes: one of the lines in tests/e2e/Cargo.toml, whole
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    node: Option<String>,
    /// Nodes that run at the same time; as many as this machine has processors unless given
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZeroUsize>,
    /// Cargo profile of our programs: `dev` builds faster, `release` is what users get
    #[arg(long, value_name = "NAME", default_value = guest::RELEASE)]
    profile: String,
}

/// One test file on one node.
#[derive(Debug)]
struct Run<'a> {
    name: &'a str,
    program: &'a Path,
    node: &'a str,
    profile: &'a str,
}

/// Does what the command line asked for.
pub(crate) fn perform(arguments: &Arguments) -> Result<ExitCode> {
    let files = test_files(&cache::repository().join(HOME).join("tests"))?;
    if let Some(unknown) = arguments.names.iter().find(|name| !files.contains(name)) {
        bail!("{HOME}/tests has no {unknown}.rs (there are: {})", files.join(", "));
    }
    let wanted: Vec<String> = files
        .into_iter()
        .filter(|name| arguments.names.is_empty() || arguments.names.contains(name))
        .collect();
    if wanted.is_empty() {
        eprintln!("{AREA}: skipped: {HOME}/tests has no test yet");
        println!("{AREA}: 0 passed, 0 failed, 1 skipped");
        return Ok(ExitCode::SUCCESS);
    }
    let profile = arguments.profile.as_str();
    let programs = build(&wanted)?;
    let wishes = Wishes::read(&wanted)?;
    let mut runs = Vec::new();
    for (name, program) in &programs {
        for node in wishes.nodes.get(name).map(Vec::as_slice).unwrap_or_default() {
            if arguments.node.as_ref().is_none_or(|wanted| wanted == node) {
                runs.push(Run { name, program, node, profile });
            }
        }
    }
    ensure!(!runs.is_empty(), "no file that was asked for runs on such a node");
    runs.sort_by_key(|run| !wishes.long.iter().any(|name| name == run.name));
    guest::prepare(profile)?;
    let (alone, together): (Vec<_>, Vec<_>) =
        runs.into_iter().partition(|run| wishes.alone.iter().any(|name| name == run.name));
    // A node of one processor keeps one of this machine's busy.
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or_else(processors, usize::from);
    let passed = [(together, jobs), (alone, 1)]
        .into_iter()
        .map(|(runs, jobs)| perform_all(&runs, jobs, arguments.only.as_deref()))
        .collect::<Result<Vec<bool>>>()?;
    let passed = passed.into_iter().all(|passed| passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(FAULTY) })
}

/// Runs so many nodes at a time; true if all tests passed. What several of them
/// say is told node by node, each when it has ended.
fn perform_all(runs: &[Run<'_>], jobs: usize, only: Option<&str>) -> Result<bool> {
    let jobs = jobs.min(runs.len());
    let told = Mutex::new(());
    let passed = side_by_side::each(runs, jobs, |number, run| {
        eprintln!("{AREA}: [{}/{}] {} {}", number + 1, runs.len(), run.name, run.node);
        let begun = Instant::now();
        let (ok, said) = run.perform(only, jobs == 1)?;
        let word = if ok { "ok" } else { "FAILED" };
        let took = begun.elapsed().as_secs_f64();
        let _whole = told.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.is_empty() {
            eprintln!("{AREA}: [{}/{}] {} said:", number + 1, runs.len(), run.name);
            io::stderr().write_all(&said).context("standard error is gone")?;
        }
        eprintln!("{AREA}: {} {} {word} ({took:.0} s)", run.name, run.node);
        Ok(ok)
    })?;
    Ok(passed.into_iter().all(|passed| passed))
}

impl Run<'_> {
    /// Boots the node and runs the file's tests in it; true if all passed, and what was said unless
    /// a person sees it as it comes.
    fn perform(&self, only: Option<&str>, visibly: bool) -> Result<(bool, Vec<u8>)> {
        let own = std::env::current_exe().context("where is this program?")?;
        let mut shared = OsString::from(self.program);
        shared.push(format!(":{}", self.name));
        let mut run = Command::new(own);
        run.args(["guest", "run", "--profile", self.profile]);
        run.args(self.node.split_whitespace()).arg("--share").arg(shared);
        // One at a time: they share the node's containerd, and an agent is there once.
        run.arg("--").args([self.name, "--test-threads=1"]).args(only);
        run.stdin(Stdio::null());
        if visibly {
            return Ok((command::succeeds_visibly(&mut run)?, Vec::new()));
        }
        let mut said = tempfile::tempfile().context("cannot keep what the node says")?;
        let both = || said.try_clone().map(Stdio::from).context("cannot keep what the node says");
        run.stdout(both()?).stderr(both()?);
        let passed = command::succeeds_visibly(&mut run)?;
        let mut text = Vec::new();
        said.rewind().and_then(|()| said.read_to_end(&mut text)).context("cannot read it back")?;
        Ok((passed, text))
    }
}

/// The names of the test files.
fn test_files(directory: &Path) -> Result<Vec<String>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Builds the files; the path of each one's program.
fn build(names: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let step = Step::begin(AREA, format!("building {}", names.join(" ")));
    // What is tested is built as users get it. The tests themselves wait more than they calculate.
    let mut cargo = guest::test_cargo();
    cargo.args(["--message-format=json-render-diagnostics", "--package", PACKAGE]);
    for name in names {
        cargo.args(["--test", name]);
    }
    let said = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(said.status.success(), "`{}` failed, {}", command::line(&cargo), said.status);
    let programs = executables(&String::from_utf8_lossy(&said.stdout))?;
    for name in names {
        ensure!(programs.contains_key(name), "cargo built no program for {HOME}/tests/{name}.rs");
    }
    step.done();
    Ok(programs)
}

/// The programs among cargo's messages, by the name of their target.
fn executables(messages: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("cargo wrote no JSON")?;
        let name = message.pointer("/target/name").and_then(Value::as_str);
        let program = message.get("executable").and_then(Value::as_str);
        if let (Some(name), Some(program)) = (name, program) {
            found.insert(name.to_owned(), program.into());
        }
    }
    Ok(found)
}

/// What the manifest says of the files.
#[derive(Debug)]
struct Wishes {
    /// The nodes that each wants.
    nodes: BTreeMap<String, Vec<String>>,
    /// Those that want the machine to themselves.
    alone: Vec<String>,
    /// Those that take longest.
    long: Vec<String>,
}

impl Wishes {
    fn read(names: &[String]) -> Result<Self> {
        let path = cache::repository().join(HOME).join("Cargo.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, names).with_context(|| format!("in {}", path.display()))
    }

    fn parse(manifest: &str, names: &[String]) -> Result<Self> {
        let manifest: toml::Table = manifest.parse()?;
        let metadata = manifest.get("package").and_then(|package| package.get("metadata"));
        let table = metadata.and_then(|metadata| metadata.get("nodes"));
        let mut nodes = BTreeMap::new();
        for name in names {
            let wanted: Vec<String> = match table.and_then(|table| table.get(name)) {
                Some(wanted) => wanted.clone().try_into().with_context(|| {
                    format!("package.metadata.nodes.{name} is no list of texts")
                })?,
                None => vec![ANY_NODE.to_owned()],
            };
            let empty = "is empty: it would run nowhere";
            ensure!(!wanted.is_empty(), "package.metadata.nodes.{name} {empty}");
            nodes.insert(name.clone(), wanted);
        }
        let files = |list: &str| -> Result<Vec<String>> {
            let Some(files) = metadata.and_then(|metadata| metadata.get(list)) else {
                return Ok(Vec::new());
            };
            let files = files.clone().try_into();
            files.with_context(|| format!("package.metadata.{list} is no list of texts"))
        };
        Ok(Self { nodes, alone: files("alone")?, long: files("long")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["tenants".to_owned()]
    }

    #[test]
    fn a_file_runs_on_the_nodes_it_names_or_on_one_of_any_kind() {
        let manifest = "[package.metadata.nodes]\ntenants = [\"-k 6.1\", \"--init systemd\"]\n";
        let nodes = |manifest: &str| Wishes::parse(manifest, &names()).unwrap().nodes;
        assert_eq!(nodes(manifest)["tenants"], ["-k 6.1", "--init systemd"]);
        assert_eq!(nodes("")["tenants"], [ANY_NODE]);
    }

    #[test]
    fn a_file_that_would_run_nowhere_is_refused() {
        assert!(Wishes::parse("package.metadata.nodes.tenants = []", &names()).is_err());
        assert!(Wishes::parse("package.metadata.nodes.tenants = 1", &names()).is_err());
    }

    #[test]
    fn what_measures_time_has_the_machine_to_itself() {
        let manifest = "package.metadata.alone = [\"storm\"]";
        assert_eq!(Wishes::parse(manifest, &names()).unwrap().alone, ["storm"]);
        assert!(Wishes::parse("", &names()).unwrap().alone.is_empty());
        assert!(Wishes::parse("package.metadata.alone = 1", &names()).is_err());
    }

    #[test]
    fn cargos_messages_name_the_programs() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"tenants\"},\
            \"executable\":\"/t/tenants-1a2b\"}\n{\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executables(messages).unwrap()["tenants"], Path::new("/t/tenants-1a2b"));
    }
}
