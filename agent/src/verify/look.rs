//! One container, looked at.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bulkhead_policy::verify::Effective;
use nix::errno::Errno;

use super::{
    devices,
    process::{self, Host, ProcessError},
};
use crate::node::{
    cgroupfs::{CgroupError, CgroupTree, is_gone},
    made_up,
};

/// Processes that are looked at in one container, the oldest first as the kernel lists them: what
/// a fork bomb makes beyond them is no looser than the processes it comes from.
const MAX_PROCESSES: usize = 64;

/// What is looked at, and with what.
pub(crate) struct Node {
    tree: CgroupTree,
    host: Host,
    app_armor: bool,
    device_programs: bool,
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
    /// The kernel does not say which device programs are attached.
    #[error("cannot ask for the device programs of {path}: {source}")]
    Devices {
        /// The cgroup.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
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
        let host = Host::read()?;
        let asked = devices::can_be_asked(&tree);
        if let Err(error) = &asked {
            tracing::warn!(
                %error,
                "a runtime's own device program that is gone will not be told: the kernel does not say \
                 what is attached; it takes CONFIG_CGROUP_BPF and CAP_NET_ADMIN"
            );
        }
        Ok(Self { tree, host, app_armor, device_programs: asked.is_ok() })
    }

    /// Whether AppArmor is on.
    pub(super) fn has_app_armor(&self) -> bool {
        self.app_armor
    }

    /// Looks again at what of the node may change.
    pub(super) fn refresh(&mut self) {
        self.host.refresh();
    }

    /// What is in force in the container whose cgroup is at `path`. `None`: it has no process.
    pub(super) fn look(&self, path: &str) -> Result<Option<Effective>, VerifyError> {
        let mut found = Vec::new();
        let mut left = MAX_PROCESSES;
        for cgroup in self.tree.walk_from(Path::new(path))?.cgroups {
            let mut pids = self.processes(&cgroup.path)?;
            pids.truncate(left);
            left -= pids.len();
            found.extend(self.weakest(&cgroup.path, &pids)?);
            if left == 0 {
                break;
            }
        }
        Ok(found.into_iter().reduce(Effective::weakest))
    }

    /// What is in force in one cgroup, by its processes.
    fn weakest(&self, cgroup: &Path, pids: &[i32]) -> Result<Option<Effective>, VerifyError> {
        let mut found = Vec::new();
        for pid in pids {
            match process::effective(*pid, &self.host) {
                Ok(one) => found.push(one),
                Err(ProcessError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut found = found.into_iter().reduce(Effective::weakest);
        if let Some(found) = found.as_mut().filter(|_| self.device_programs) {
            found.runtime_device_program = devices::has_runtime_program(&self.tree, cgroup)
                .map_err(|source| VerifyError::Devices { path: cgroup.to_owned(), source })?;
        }
        Ok(found)
    }

    fn processes(&self, cgroup: &Path) -> Result<Vec<i32>, VerifyError> {
        let list = self.tree.full_path(cgroup).join("cgroup.procs");
        let text = match made_up::read_text(&list) {
            Ok(text) => text,
            Err(error) if is_gone_or_threaded(&error) => return Ok(Vec::new()),
            Err(source) => return Err(VerifyError::List { path: list, source }),
        };
        // 0 stands for a process of a process id namespace that is not seen from here.
        let pids = text.lines().filter_map(|line| line.parse::<i32>().ok());
        Ok(pids.filter(|pid| *pid > 0).collect())
    }
}

/// A threaded cgroup lists its processes at the domain above it, and says EOPNOTSUPP itself.
fn is_gone_or_threaded(error: &io::Error) -> bool {
    is_gone(error) || error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32)
}
