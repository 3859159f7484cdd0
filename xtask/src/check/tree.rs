//! The files of the repository, as git knows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cache, command};

/// A file that people write: its path below the top, and its text.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

/// All text files, committed or about to be.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) top: PathBuf,
    pub(super) sources: Vec<Source>,
}

impl Tree {
    /// The files of this repository; what .gitignore names is left out, and so is what is no text.
    pub(super) fn of_repository() -> Result<Self> {
        let top = cache::repository();
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let mut git = Command::new("git");
        // CI may have cloned it as another user.
        git.arg("-c").arg(format!("safe.directory={}", top.display())).args(list);
        let names = command::output(git.current_dir(&top))?;
        let mut sources = Vec::new();
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            sources.extend(read(&top, name)?);
        }
        Ok(Self { top, sources })
    }

    /// The sources whose path fits.
    pub(super) fn those(&self, fits: impl Fn(&str) -> bool) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| fits(&source.path))
    }
}

/// Nothing for what is no text, is a link, or was removed and is still in git's index.
fn read(top: &Path, name: &str) -> Result<Option<Source>> {
    let path = top.join(name);
    if path.is_symlink() || !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
    Ok(String::from_utf8(bytes).ok().map(|text| Source { path: name.to_owned(), text }))
}
