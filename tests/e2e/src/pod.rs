//! Containers by the CRI, and commands inside them.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::node;

const CLIENT: &str = "bulkhead-cri";

/// What stands between the output of one line of shell and its status.
const END: &str = "=== ended with ";

/// What a container is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Kubernetes namespace of its pod.
    pub namespace: &'a str,
    /// Name of its pod.
    pub pod: &'a str,
    /// `runc` or `crun`.
    pub runtime: &'a str,
    /// More options of `bulkhead-cri run`.
    pub options: &'a [&'a str],
    /// A line of shell that is its first act, before it sleeps.
    pub first: &'a str,
}

impl<'a> Wish<'a> {
    /// An ordinary container in a pod of this name.
    #[must_use]
    pub fn new(namespace: &'a str, pod: &'a str, runtime: &'a str) -> Self {
        Self { namespace, pod, runtime, options: &[], first: ":" }
    }

    /// The same with these options of `bulkhead-cri run`.
    #[must_use]
    pub fn with(mut self, options: &'a [&'a str]) -> Self {
        self.options = options;
        self
    }

    /// The same with this first act.
    #[must_use]
    pub fn that_begins_with(mut self, line: &'a str) -> Self {
        self.first = line;
        self
    }
}

/// A container that sleeps.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its first process, as the node sees it.
    pub pid: u32,
    /// Kubernetes namespace of its pod.
    pub namespace: String,
    /// Name of its pod.
    pub pod: String,
    sandbox: String,
}

/// How a command in a container ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: i32,
    /// Its standard output, then its standard error.
    pub said: String,
}

impl Ended {
    /// Whether it ended well.
    #[must_use]
    pub fn well(&self) -> bool {
        self.status == 0
    }

    /// Whether it failed as what is refused fails: EPERM or EACCES.
    #[must_use]
    pub fn refused(&self) -> bool {
        let words = ["Operation not permitted", "Permission denied", "permission denied"];
        self.status != 0 && words.iter().any(|word| self.said.contains(word))
    }
}

impl Container {
    /// Starts a pod with one container.
    ///
    /// # Errors
    /// When the runtime cannot.
    pub fn start(wish: Wish<'_>) -> Result<Self> {
        let mut command = Command::new(CLIENT);
        command.args(["run", "--namespace", wish.namespace, "--pod", wish.pod]);
        command.args(["--runtime", wish.runtime]).args(wish.options);
        let line = format!("{}; exec sleep 100000", wish.first);
        let output = node::run(command.args(["--", "sh", "-c", &line]))?;
        let told: Value =
            serde_json::from_slice(&output.stdout).context("bulkhead-cri said no JSON")?;
        let word = |key: &str| -> Result<String> {
            let value = told.get(key).and_then(Value::as_str);
            Ok(value.with_context(|| format!("no {key} in {told}"))?.to_owned())
        };
        let pid = told.get("pid").and_then(Value::as_u64).context("no pid")?;
        Ok(Self {
            id: word("container")?,
            sandbox: word("sandbox")?,
            pid: u32::try_from(pid)?,
            namespace: wish.namespace.to_owned(),
            pod: wish.pod.to_owned(),
        })
    }

    /// Runs a line of shell in it and waits for its end.
    ///
    /// # Errors
    /// When the runtime cannot start it.
    pub fn sh(&self, line: &str) -> Result<Ended> {
        let mut command = Command::new(CLIENT);
        command.args(["exec", &self.id, "--", "sh", "-c", line]);
        let output = command.output().context("cannot start bulkhead-cri")?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        let status = output.status.code().context("bulkhead-cri was killed")?;
        anyhow::ensure!(!said.contains("cannot run the command"), "exec failed: {said}");
        Ok(Ended { status, said })
    }

    /// Runs lines of shell one after the other in one go, each in a shell of its own.
    ///
    /// # Errors
    /// When the runtime cannot start them, or not each has ended.
    pub fn each(&self, lines: &[String]) -> Result<Vec<Ended>> {
        let script: String =
            lines.iter().map(|line| format!("( {line} ) 2>&1; echo \"{END}$?\"\n")).collect();
        let ended = endings(&self.sh(&script)?.said);
        anyhow::ensure!(ended.len() == lines.len(), "{} of {} ended", ended.len(), lines.len());
        Ok(ended)
    }

    /// Whether its first process is still the one that it was started with.
    ///
    /// # Errors
    /// When the node's /proc cannot be read.
    pub fn still_runs(&self) -> Result<bool> {
        let path = format!("/proc/{}/cgroup", self.pid);
        match std::fs::read_to_string(&path) {
            Ok(cgroup) => Ok(cgroup.contains(&self.id)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
        }
    }

    /// Stops and removes its pod.
    ///
    /// # Errors
    /// When the runtime cannot.
    pub fn remove(self) -> Result<()> {
        node::run(Command::new(CLIENT).args(["rm", &self.sandbox])).map(drop)
    }
}

fn endings(said: &str) -> Vec<Ended> {
    let mut all = Vec::new();
    let mut text = String::new();
    for line in said.split_inclusive('\n') {
        // The output before it may lack its line's end.
        if let Some((before, status)) = line.trim_end().split_once(END) {
            text.push_str(before);
            if let Ok(status) = status.parse() {
                all.push(Ended { status, said: std::mem::take(&mut text) });
            }
        } else {
            text.push_str(line);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_shell_has_its_own_ending() {
        let said = format!("a\n{END}0\nno line end{END}1\n{END}2\n");
        let ended: Vec<_> =
            endings(&said).into_iter().map(|ended| (ended.status, ended.said)).collect();
        let expected = [(0, "a\n"), (1, "no line end"), (2, "")];
        assert_eq!(ended, expected.map(|(status, said)| (status, said.to_owned())));
    }

    #[test]
    fn only_a_failure_with_the_words_of_a_refusal_is_one() {
        let ended = |status, said: &str| Ended { status, said: said.to_owned() };
        assert!(ended(1, "sh: can't kill pid 1: Operation not permitted").refused());
        assert!(!ended(0, "Operation not permitted").refused());
        assert!(!ended(1, "No such file or directory").refused());
    }
}
