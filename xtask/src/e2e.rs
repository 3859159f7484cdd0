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

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::{cache, command, guest, progress::Step};

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
}

/// One test file on one node.
#[derive(Debug)]
struct Run<'a> {
    name: &'a str,
    program: &'a Path,
    node: &'a str,
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
    let programs = build(&wanted)?;
    let nodes = nodes(&wanted)?;
    let mut runs = Vec::new();
    for (name, program) in &programs {
        for node in nodes.get(name).map(Vec::as_slice).unwrap_or_default() {
            runs.push(Run { name, program, node });
        }
    }
    let mut failed = 0;
    for (number, run) in runs.iter().enumerate() {
        eprintln!("{AREA}: [{}/{}] {} {}", number + 1, runs.len(), run.name, run.node);
        let begun = Instant::now();
        let passed = run.perform(arguments.only.as_deref())?;
        failed += u32::from(!passed);
        let word = if passed { "ok" } else { "FAILED" };
        eprintln!(
            "{AREA}: {} {} {word} ({:.0} s)",
            run.name,
            run.node,
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAULTY) })
}

impl Run<'_> {
    /// Boots the node and runs the file's tests in it; true if all passed.
    fn perform(&self, only: Option<&str>) -> Result<bool> {
        let own = std::env::current_exe().context("where is this program?")?;
        let mut shared = OsString::from(self.program);
        shared.push(format!(":{}", self.name));
        let mut run = Command::new(own);
        run.args(["guest", "run"]).args(self.node.split_whitespace()).arg("--share").arg(shared);
        // One at a time: they share the node's containerd, and an agent is there once.
        run.arg("--").args([self.name, "--test-threads=1"]).args(only);
        command::succeeds_visibly(run.stdin(Stdio::null()))
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

/// The nodes that each file wants.
fn nodes(names: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let path = cache::repository().join(HOME).join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    wanted_nodes(&text, names).with_context(|| format!("in {}", path.display()))
}

fn wanted_nodes(manifest: &str, names: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let manifest: toml::Table = manifest.parse()?;
    let table = manifest.get("package").and_then(|package| package.get("metadata"));
    let table = table.and_then(|metadata| metadata.get("nodes"));
    let mut wanted = BTreeMap::new();
    for name in names {
        let nodes = match table.and_then(|table| table.get(name)) {
            Some(nodes) => nodes
                .clone()
                .try_into()
                .with_context(|| format!("package.metadata.nodes.{name} is no list of texts"))?,
            None => vec![ANY_NODE.to_owned()],
        };
        ensure!(!nodes.is_empty(), "package.metadata.nodes.{name} is empty: it would run nowhere");
        wanted.insert(name.clone(), nodes);
    }
    Ok(wanted)
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
        assert_eq!(
            wanted_nodes(manifest, &names()).unwrap()["tenants"],
            ["-k 6.1", "--init systemd"]
        );
        assert_eq!(wanted_nodes("", &names()).unwrap()["tenants"], [ANY_NODE]);
    }

    #[test]
    fn a_file_that_would_run_nowhere_is_refused() {
        assert!(wanted_nodes("package.metadata.nodes.tenants = []", &names()).is_err());
        assert!(wanted_nodes("package.metadata.nodes.tenants = 1", &names()).is_err());
    }

    #[test]
    fn cargos_messages_name_the_programs() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"tenants\"},\
            \"executable\":\"/t/tenants-1a2b\"}\n{\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executables(messages).unwrap()["tenants"], Path::new("/t/tenants-1a2b"));
    }
}
