//! One cgroup's files.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use bulkhead_policy::limits::{File, Setting};

use crate::node::{cgroupfs::is_gone, made_up};

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// The kernel's answer.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The answer.
        source: io::Error,
    },
    /// What the file holds.
    #[error("{file} holds {text:?}, which cannot be read")]
    Content {
        /// The file.
        file: String,
        /// Its beginning.
        text: String,
    },
}

/// A cgroup's directory.
#[derive(Debug)]
pub(super) struct Cgroup {
    directory: PathBuf,
}

impl Cgroup {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// A file's text; `None` where there is no such file: its controller is not on here, or the
    /// cgroup is gone.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, FileError> {
        match made_up::read_text(&self.directory.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(source) => Err(FileError::Io { file: name.to_owned(), source }),
        }
    }

    /// What a limiting file holds.
    pub(super) fn read(&self, file: &File) -> Result<Option<Setting>, FileError> {
        let name = file.name();
        let Some(text) = self.text(&name)? else { return Ok(None) };
        match file.parse(&text) {
            Some(setting) => Ok(Some(setting)),
            None => {
                let text = text.chars().take(80).collect();
                Err(FileError::Content { file: name, text })
            }
        }
    }

    /// Has a file hold `wished` instead of `before`.
    pub(super) fn write(
        &self,
        file: &File,
        wished: &Setting,
        before: &Setting,
    ) -> Result<(), FileError> {
        let name = file.name();
        let failed = |source| FileError::Io { file: name.clone(), source };
        let path = self.directory.join(&name);
        for line in wished.lines_after(before) {
            // Truncation means nothing to cgroup files; each line is one write(2).
            let open = fs::File::options().write(true).truncate(true).open(&path);
            open.and_then(|mut open| open.write_all(line.as_bytes())).map_err(failed)?;
        }
        Ok(())
    }
}
