//! One agent a node.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Why this agent must not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstanceError {
    /// Another one runs.
    #[error("another bulkhead agent runs here: process {pid} holds {path}")]
    Running {
        /// Its process id, as it wrote it.
        pid: String,
        /// The lock file.
        path: PathBuf,
    },
    /// The state directory could not be made.
    #[error("cannot make the state directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The lock file could not be opened, locked or written.
    #[error("cannot {action} {path}")]
    File {
        /// What failed.
        action: &'static str,
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Proof that this process is the node's only agent, as long as it lives.
#[derive(Debug)]
pub(crate) struct Instance {
    // The lock belongs to the open file: the kernel releases it however this process ends. The
    // file itself stays, because removing it would let two agents lock two files of one name.
    _locked: File,
}

impl Instance {
    /// Takes `agent.lock` in the state directory, which is made if it is not there.
    pub(crate) fn claim(state_directory: &Path) -> Result<Self, InstanceError> {
        make_directory(state_directory)?;
        let path = state_directory.join("agent.lock");
        let failed = |action| {
            let path = path.clone();
            move |source| InstanceError::File { action, path, source }
        };
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(InstanceError::Running { pid: holder(&mut file), path });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        write_pid(&mut file).map_err(failed("write"))?;
        Ok(Self { _locked: file })
    }
}

/// Makes a directory that only root can enter. One that is there is left as it is.
pub(crate) fn make_directory(path: &Path) -> Result<(), InstanceError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| InstanceError::Directory { path: path.to_owned(), source })
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

/// Who holds the lock, for the message alone: what cannot be read is told as unknown.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    let pid = text.trim();
    let known = read.is_ok() && !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    if known { pid.to_owned() } else { "(unknown)".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_and_told_who_holds_what() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("var/lib/bulkhead");
        let first = Instance::claim(&state).unwrap();
        let error = Instance::claim(&state).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} holds", std::process::id())), "{error}");
        assert!(error.contains("agent.lock"), "{error}");
        drop(first);
        Instance::claim(&state).unwrap();
    }

    #[test]
    fn a_lock_left_by_a_dead_agent_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("agent.lock"), "4194304000 and more than one pid\n")
            .unwrap();
        Instance::claim(directory.path()).unwrap();
        let text = fs::read_to_string(directory.path().join("agent.lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_state_directory_that_cannot_be_made_is_named() {
        let error = Instance::claim(Path::new("/proc/bulkhead")).unwrap_err().to_string();
        assert_eq!(error, "cannot make the state directory /proc/bulkhead");
    }
}
