//! What can be told from the text of a file alone.

use anyhow::Result;

use super::Finding;
use super::tree::{Source, Tree};

/// The most lines of a file.
const MOST_LINES: usize = 500;

/// Files that nobody writes by hand.
const NOT_WRITTEN: [&str; 3] = ["Cargo.lock", "LICENSE", "config.schema.json"];

/// What ties a repository to the machine it was written on, or to one registry's address. The
/// pieces are joined here so that this file does not hold them.
const TIES: [(&str, &str); 11] = [
    ("/wo", "rk/"),
    ("/tm", "p/wt"),
    ("/ro", "ot/."),
    ("deb.deb", "ian.org"),
    ("security.deb", "ian.org"),
    ("archive.ubu", "ntu.com"),
    ("crate", "s.io"),
    ("py", "pi.org"),
    ("pythonho", "sted.org"),
    ("npm", "js."),
    ("proxy.go", "lang.org"),
];

/// No file is longer than a person reads in one sitting.
pub(super) fn lengths(tree: &Tree) -> Result<Finding> {
    Ok(Finding::of(
        tree.sources.iter().filter(|source| is_written(source)).filter_map(too_long).collect(),
    ))
}

/// No file names a path of one machine or the address of a registry.
pub(super) fn ties(tree: &Tree) -> Result<Finding> {
    Ok(Finding::of(
        tree.sources.iter().filter(|source| is_written(source)).flat_map(tied).collect(),
    ))
}

fn is_written(source: &Source) -> bool {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    !NOT_WRITTEN.iter().any(|prefix| name.starts_with(prefix))
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > MOST_LINES)
        .then(|| format!("{}: {lines} lines, more than {MOST_LINES}: divide it", source.path))
}

fn tied(source: &Source) -> Vec<String> {
    let ties = TIES.map(|(head, tail)| format!("{head}{tail}"));
    let mut faults = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for tie in ties.iter().filter(|tie| line.contains(*tie)) {
            faults.push(format!("{}:{}: names `{tie}`", source.path, number + 1));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_of_500_lines_passes_and_one_of_501_does_not() {
        assert_eq!(too_long(&source("a.rs", &"x\n".repeat(500))), None);
        assert!(too_long(&source("a.rs", &"x\n".repeat(501))).unwrap().starts_with("a.rs: 501"));
    }

    #[test]
    fn a_registry_or_a_path_of_one_machine_is_found_with_its_line() {
        let text = format!("fine\nsee https://crate{} for it\n", "s.io");
        assert!(tied(&source("README.md", &text)).concat().starts_with("README.md:2:"));
        assert_eq!(tied(&source("README.md", "a crate, see /tmp/work\n")), Vec::<String>::new());
    }

    #[test]
    fn lock_files_and_licences_are_nobodys_writing() {
        assert!(!is_written(&source("ebpf/Cargo.lock", "")));
        assert!(!is_written(&source("ebpf/LICENSE-MIT", "")));
        assert!(is_written(&source("docs/LICENCES.md", "")));
    }
}
