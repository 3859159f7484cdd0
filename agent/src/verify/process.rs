//! What /proc says of how one process is confined.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bulkhead_policy::verify::{
    Effective, Exposure, IdRange, Label, MASKED, READ_ONLY, Status, status::StatusError,
};

use crate::node::made_up;

/// Namespaces of which a container should have its own, the user's aside: that one is a control by
/// itself. `time` is the node's for every runtime of today.
const NAMESPACES: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];

/// Why a process could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    /// It has ended: nothing to tell.
    #[error("the process has ended")]
    Gone,
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The status is not as the kernel writes it.
    #[error("{path} is not understood")]
    Status {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: StatusError,
    },
    /// An id map is not as the kernel writes it.
    #[error("{path} is not three numbers a line")]
    Map {
        /// The file.
        path: PathBuf,
    },
}

/// The node's own namespaces, to compare with, and what there is to mask.
#[derive(Clone, Debug)]
pub(super) struct Host {
    user: PathBuf,
    others: [PathBuf; NAMESPACES.len()],
    present: Vec<&'static str>,
}

impl Host {
    /// Those of process 1, which is the node's where the agent has the node's process ids.
    pub(super) fn read() -> Result<Self, ProcessError> {
        Self::of(Path::new("/proc/1"))
    }

    fn of(init: &Path) -> Result<Self, ProcessError> {
        let mut others = [const { PathBuf::new() }; NAMESPACES.len()];
        for (place, kind) in others.iter_mut().zip(NAMESPACES) {
            *place = link(init, kind)?;
        }
        Ok(Self { user: link(init, "user")?, others, present: present() })
    }

    /// Looks again at what there is to mask: a module may bring something.
    pub(super) fn refresh(&mut self) {
        self.present = present();
    }
}

/// What runtimes would hide of this kernel's /proc and /sys. The same for every container, and there are many.
fn present() -> Vec<&'static str> {
    let hidden = MASKED.iter().chain(&READ_ONLY).copied();
    hidden.filter(|path| Path::new(path).exists()).collect()
}

/// How a process is confined.
pub(super) fn effective(pid: i32, host: &Host) -> Result<Effective, ProcessError> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let path = process.join("status");
    let status = Status::parse(&read(&path)?)
        .map_err(|source| ProcessError::Status { path: path.clone(), source })?;
    let own_user_namespace = link(&process, "user")? != host.user;
    let mut shared_namespaces = Vec::new();
    for (kind, theirs) in NAMESPACES.iter().zip(&host.others) {
        if link(&process, kind)? == *theirs {
            shared_namespaces.push(*kind);
        }
    }
    let map = |name: &str| {
        if !own_user_namespace {
            return Ok(Vec::new());
        }
        let path = process.join(name);
        IdRange::parse_map(&read(&path)?).ok_or(ProcessError::Map { path })
    };
    let mounts = read(&process.join("mountinfo"))?;
    Ok(Effective {
        processes: 1,
        status,
        label: label(&process)?,
        uids: map("uid_map")?,
        gids: map("gid_map")?,
        own_user_namespace,
        shared_namespaces,
        exposed: Exposure::of(&mounts, |path| host.present.contains(&path)),
        // The cgroup's, not the process's.
        runtime_device_program: None,
    })
}

/// `None` on a kernel without AppArmor.
fn label(process: &Path) -> Result<Option<Label>, ProcessError> {
    match read(&process.join("attr/apparmor/current")) {
        Ok(text) => Ok(Some(Label::parse(&text))),
        // No LSM of that name is active.
        Err(ProcessError::Read { source, .. })
            if source.raw_os_error() == Some(nix::errno::Errno::EINVAL as i32) =>
        {
            Ok(None)
        }
        // The process, or the kernel's AppArmor, is not there: the status was, a moment ago.
        Err(ProcessError::Gone) if process.join("status").exists() => Ok(None),
        Err(error) => Err(error),
    }
}

fn link(process: &Path, kind: &str) -> Result<PathBuf, ProcessError> {
    let path = process.join("ns").join(kind);
    fs::read_link(&path).map_err(|source| gone_or(path, source))
}

fn read(path: &Path) -> Result<String, ProcessError> {
    match made_up::read(path) {
        // A mount point may hold bytes that are no text; they are compared with nothing.
        Ok(bytes) => Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())),
        Err(source) => Err(gone_or(path.to_owned(), source)),
    }
}

/// A process that ends gives ENOENT for its directory and ESRCH for what is open already.
fn gone_or(path: PathBuf, source: io::Error) -> ProcessError {
    let ended = source.kind() == io::ErrorKind::NotFound
        || source.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32);
    if ended { ProcessError::Gone } else { ProcessError::Read { path, source } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_as_the_kernel_tells() {
        let host = Host::of(Path::new("/proc/self")).unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let found = effective(pid, &host).unwrap();
        let sets = found.status.capabilities;
        let own = caps::read(None, caps::CapSet::Effective).unwrap();
        for capability in own {
            assert!(sets.effective.contains(u32::from(capability.index())), "{capability}");
        }
        assert_eq!(found.shared_namespaces, NAMESPACES);
        assert!(!found.own_user_namespace);
    }

    #[test]
    fn a_process_that_has_ended_is_told_from_one_that_cannot_be_read() {
        let host = Host::of(Path::new("/proc/self")).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert!(matches!(effective(pid, &host), Err(ProcessError::Gone)));
    }
}
