//! Shell scripts.

use std::process::Command;

use anyhow::Result;

use super::Finding;
use super::tree::{Source, Tree};
use crate::command;

/// Parses every script, and has shellcheck look at it where that is installed.
pub(super) fn check(tree: &Tree) -> Result<Finding> {
    let mut faults = Vec::new();
    let mut scripts = Vec::new();
    for source in &tree.sources {
        let Some(shell) = shell_of(source) else { continue };
        scripts.push(&source.path);
        let parse = command::run(Command::new(shell).arg("-n").arg(tree.top.join(&source.path)));
        faults.extend(parse.err().map(|error| format!("{error:#}")));
    }
    // No machine has to have shellcheck: what it adds is style, and CI has it where it matters.
    if command::run(Command::new("shellcheck").arg("--version")).is_ok() {
        let mut look = Command::new("shellcheck");
        look.arg("--external-sources").args(&scripts).current_dir(&tree.top);
        faults.extend(command::run(&mut look).err().map(|error| format!("{error:#}")));
    }
    Ok(Finding::of(faults))
}

/// The shell that a file is written for, if it is a script.
fn shell_of(source: &Source) -> Option<&'static str> {
    let first = source.text.lines().next().unwrap_or_default();
    let shebang = first.strip_prefix("#!").map(|rest| rest.rsplit(['/', ' ']).next());
    match shebang.flatten() {
        Some("bash") => Some("bash"),
        Some("sh") => Some("sh"),
        // Sourced by a script of bash.
        _ => source.path.ends_with(".sh").then_some("bash"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_known_by_their_first_line_or_their_name() {
        let shell = |path: &str, text: &str| {
            shell_of(&Source { path: path.to_owned(), text: text.to_owned() })
        };
        assert_eq!(shell("dev", "#!/usr/bin/env bash\n"), Some("bash"));
        assert_eq!(shell("init", "#!/bin/sh\nmount\n"), Some("sh"));
        assert_eq!(shell("tools.sh", "say() { :; }\n"), Some("bash"));
        assert_eq!(shell("check.py", "#!/usr/bin/env python3\n"), None);
        assert_eq!(shell("main.rs", "#![no_std]\n"), None);
    }
}
