//! One container, looked at.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bulkhead_policy::verify::Effective;

use super::process::{self, HostNamespaces, ProcessError};
use crate::node::cgroupfs::{CgroupError, CgroupTree};

/// Processes that are looked at in one container, the oldest first as the kernel lists them: what
/// a fork bomb makes beyond them is no looser than the processes it comes from.
const MAX_PROCESSES: usize = 64;

/// What is looked at, and with what.
pub(crate) struct Node {
    tree: CgroupTree,
    host: HostNamespaces,
    app_armor: bool,
}

/// Why a container could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// The cgroup's processes could not be listed.
    #[error("cannot list the processes of {path}: {source}")]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The tree could not be read.
    #[error(transparent)]
    Tree(#[from] CgroupError),
    /// A process could not be looked at.
    #[error("{0}")]
    Process(String),
}

impl From<ProcessError> for VerifyError {
    fn from(error: ProcessError) -> Self {
        Self::Process(format!("{:#}", anyhow::Error::new(error)))
    }
}

impl Node {
    /// This node.
    pub(crate) fn new(tree: CgroupTree) -> Result<Self, VerifyError> {
        let app_armor = fs::read_to_string("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|enabled| enabled.trim() == "Y");
        let host = HostNamespaces::read()?;
        Ok(Self { tree, host, app_armor })
    }

    /// Whether AppArmor is on.
    pub(super) fn has_app_armor(&self) -> bool {
        self.app_armor
    }

    /// What is in force in the container whose cgroup is at `path`. `None`: it has no process.
    pub(super) fn look(&self, path: &str) -> Result<Option<Effective>, VerifyError> {
        let mut found: Option<Effective> = None;
        for pid in self.processes(path)? {
            match process::effective(pid, &self.host) {
                Ok(one) => {
                    found = Some(match found {
                        Some(others) => others.weakest(one),
                        None => one,
                    });
                }
                Err(ProcessError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    fn processes(&self, path: &str) -> Result<Vec<i32>, VerifyError> {
        let mut pids = Vec::new();
        for cgroup in self.tree.walk_from(Path::new(path))?.cgroups {
            let list = self.tree.full_path(&cgroup.path).join("cgroup.procs");
            let text = match fs::read_to_string(&list) {
                Ok(text) => text,
                Err(error) if is_gone_or_threaded(&error) => continue,
                Err(source) => return Err(VerifyError::List { path: list, source }),
            };
            // 0 stands for a process of a process id namespace that is not seen from here.
            pids.extend(
                text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0),
            );
            if pids.len() >= MAX_PROCESSES {
                break;
            }
        }
        pids.truncate(MAX_PROCESSES);
        Ok(pids)
    }
}

/// A threaded cgroup lists its processes at the domain above it, and says EOPNOTSUPP itself.
fn is_gone_or_threaded(error: &io::Error) -> bool {
    use nix::errno::Errno;
    error.kind() == io::ErrorKind::NotFound
        || [Errno::ENODEV as i32, Errno::EOPNOTSUPP as i32]
            .map(Some)
            .contains(&error.raw_os_error())
}
