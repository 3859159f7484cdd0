//! Why containers are frozen, kept in a file: the agent that comes back must know.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use bulkhead_policy::event::Cause;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{node, workloads::Listed};

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemoryError {
    /// Files.
    #[error("cannot {action} {path}, which says why containers are frozen")]
    File {
        /// What failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Which boot this is.
    #[error(transparent)]
    Boot(#[from] node::NodeError),
}

/// One frozen container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remembered {
    /// Its cgroup's id.
    pub(crate) cgroup: u64,
    /// Its cgroup's path below the mount.
    pub(crate) path: String,
    /// When it was frozen.
    pub(crate) since: String,
    /// Why, in words.
    pub(crate) why: String,
}

impl Remembered {
    pub(super) fn new(listed: &Listed<'_>, cause: &Cause) -> Self {
        let why = match cause {
            Cause::Rule { rule, .. } => (*rule).to_owned(),
            Cause::Operator { comm, reason, .. } => match reason {
                Some(reason) => reason.as_str().to_owned(),
                None => format!("asked for by {}", comm.as_str()),
            },
            Cause::Somebody => "not known".to_owned(),
        };
        Self {
            cgroup: listed.cgroup,
            path: listed.path.to_owned(),
            since: format!("{:.3}", Timestamp::now()),
            why,
        }
    }
}

/// The file's content. Cgroup ids mean something within one boot.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    boot: String,
    frozen: Vec<Remembered>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    content: Content,
}

impl Memory {
    /// What the file says. One that cannot be understood is told, and begun anew: what is frozen
    /// stays frozen and can be thawed.
    pub(super) fn open(path: PathBuf) -> Result<Self, MemoryError> {
        let boot = node::boot_id()?;
        let content = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "why containers are frozen is lost");
                Content::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(source) => return Err(MemoryError::File { action: "read", path, source }),
        };
        let content =
            if content.boot == boot { content } else { Content { boot, frozen: Vec::new() } };
        Ok(Self { path, content })
    }

    pub(super) fn get(&self, cgroup: u64) -> Option<&Remembered> {
        self.content.frozen.iter().find(|one| one.cgroup == cgroup)
    }

    pub(super) fn cgroups(&self) -> Vec<u64> {
        self.content.frozen.iter().map(|one| one.cgroup).collect()
    }

    pub(super) fn keep_only(
        &mut self,
        keep: impl Fn(&Remembered) -> bool,
    ) -> Result<(), MemoryError> {
        self.content.frozen.retain(|one| keep(one));
        self.save()
    }

    /// Remembered from now on, and in the file with the next saving.
    pub(super) fn add(&mut self, one: Remembered) {
        self.content.frozen.retain(|other| other.cgroup != one.cgroup);
        self.content.frozen.push(one);
    }

    pub(super) fn remove(&mut self, cgroup: u64) {
        self.content.frozen.retain(|one| one.cgroup != cgroup);
        self.save_or_tell();
    }

    /// The containers are frozen or thawed whatever becomes of the file.
    pub(super) fn save_or_tell(&self) {
        if let Err(error) = self.save() {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "an agent that comes back will not know why");
        }
    }

    fn save(&self) -> Result<(), MemoryError> {
        let failed =
            |source| MemoryError::File { action: "write", path: self.path.clone(), source };
        let parent = self.path.parent().unwrap_or(Path::new("."));
        let text = serde_json::to_vec_pretty(&self.content).map_err(io::Error::other);
        // Made for this user alone (0600), and put in place whole.
        let mut file = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
        text.and_then(|text| file.write_all(&text)).map_err(failed)?;
        file.as_file().sync_data().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(cgroup: u64) -> Remembered {
        Remembered { cgroup, path: "/a\n".into(), since: "now".into(), why: "\u{1b}".into() }
    }

    #[test]
    fn what_is_frozen_is_remembered_within_one_boot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("frozen.json");
        let mut memory = Memory::open(path.clone()).unwrap();
        memory.add(one(1));
        memory.add(one(2));
        memory.remove(1);
        let again = Memory::open(path.clone()).unwrap();
        assert_eq!(again.cgroups(), [2]);
        assert_eq!(again.get(2), Some(&one(2)));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(&node::boot_id().unwrap(), "another boot")).unwrap();
        assert!(Memory::open(path).unwrap().cgroups().is_empty());
    }

    #[test]
    fn a_broken_file_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("frozen.json");
        for broken in ["", "{", "[]", "\0\0"] {
            fs::write(&path, broken).unwrap();
            let mut memory = Memory::open(path.clone()).unwrap();
            assert!(memory.cgroups().is_empty());
            memory.add(one(7));
            memory.save_or_tell();
            assert_eq!(Memory::open(path.clone()).unwrap().cgroups(), [7]);
        }
    }
}
