//! One end of an act: a process, and whose it is.

use bulkhead_abi as abi;
use bulkhead_abi::{UNIDENTIFIED_TENANT, identity_flag, party_flag};
use serde::Serialize;

use super::{Container, Names, Owner, Pod, Text, device};
use crate::{capability::Capabilities, decode};

/// How sure the names of a party are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Attribution {
    /// Tenant and container are known.
    Named,
    /// The kernel side inherited the identity from a parent cgroup; nobody has confirmed it yet.
    Unconfirmed,
    /// A process of the node, of no workload.
    Host,
    /// A workload's process whose container could not be named. What is known is still told.
    Unknown,
}

/// A process and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    /// How sure the names are.
    pub attribution: Attribution,
    /// The tenant's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text>,
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// The id of the cgroup the process is in.
    pub cgroup_id: u64,
    /// The id of its container's own cgroup, where the container is known.
    #[serde(skip)]
    pub container_cgroup: Option<u64>,
    /// The process.
    pub process: Process,
}

/// A process at the moment of the act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Start, nanoseconds since boot: with the pid, an identity that is never reused.
    pub start_time: u64,
    /// The executable.
    pub binary: Binary,
    /// The name the process gave itself.
    pub comm: Text,
    /// Effective user id in the initial user namespace.
    pub uid: u32,
    /// Effective group id in the initial user namespace.
    pub gid: u32,
    /// Effective capabilities.
    pub capabilities: Capabilities,
    /// The parent.
    pub parent: Parent,
    /// Inode number of the mount namespace.
    pub mount_namespace: u32,
    /// Inode number of the user namespace.
    pub user_namespace: u32,
    /// The runtime's own set-up of the container, not the workload.
    pub setup: bool,
    /// A kernel thread.
    pub kernel_thread: bool,
}

/// An executable file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Binary {
    /// Its path inside its file system.
    pub path: Text,
    /// Whether the path's beginning, or a part of one of its names, is missing.
    pub truncated: bool,
    /// Its device, `major:minor`.
    pub device: String,
    /// Its inode number.
    pub inode: u64,
}

/// A parent process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parent {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub comm: Text,
}

impl Party {
    /// Names a record's party. A name that is not known is absent, never guessed.
    pub fn new(party: &abi::Party, names: &dyn Names) -> Self {
        let identity = &party.identity;
        if identity.flags & identity_flag::UNCONFIRMED != 0
            && let Some(owner) = names.owner(party.cgroup)
        {
            return Self::of_owner(party, owner);
        }
        let tenant = match identity.tenant {
            UNIDENTIFIED_TENANT => None,
            number => names.tenant(number).map(Text::new),
        };
        let pod = known(identity.pod).and_then(|cgroup| names.pod(cgroup)).cloned();
        let container =
            known(identity.container).and_then(|cgroup| names.container(cgroup)).cloned();
        Self {
            attribution: attribution(party, tenant.is_some() && container.is_some()),
            tenant,
            pod,
            container,
            cgroup_id: party.cgroup,
            container_cgroup: known(identity.container),
            process: Process::new(party),
        }
    }
}

impl Party {
    /// The container was named between the act and its telling.
    fn of_owner(party: &abi::Party, owner: Owner<'_>) -> Self {
        Self {
            attribution: Attribution::Named,
            tenant: Some(Text::new(owner.tenant)),
            pod: owner.pod.cloned(),
            container: Some(owner.container.clone()),
            cgroup_id: party.cgroup,
            container_cgroup: Some(party.cgroup),
            process: Process::new(party),
        }
    }
}

fn known(cgroup: u64) -> Option<u64> {
    (cgroup != 0).then_some(cgroup)
}

fn attribution(party: &abi::Party, named: bool) -> Attribution {
    if party.flags & party_flag::WORKLOAD == 0 {
        Attribution::Host
    } else if party.identity.flags & identity_flag::UNCONFIRMED != 0 {
        Attribution::Unconfirmed
    } else if named {
        Attribution::Named
    } else {
        Attribution::Unknown
    }
}

impl Process {
    fn new(party: &abi::Party) -> Self {
        Self {
            pid: party.pid,
            tid: party.tid,
            start_time: party.start_time,
            binary: Binary {
                path: Text::new(decode::path(&party.path, party.path_start)),
                truncated: party.flags & party_flag::PATH_TRUNCATED != 0,
                device: device(party.exe_device),
                inode: party.exe_inode,
            },
            comm: Text::new(decode::zero_filled(&party.comm)),
            uid: party.uid,
            gid: party.gid,
            capabilities: Capabilities::from_bits(party.capabilities),
            parent: Parent {
                pid: party.parent_pid,
                comm: Text::new(decode::zero_filled(&party.parent_comm)),
            },
            mount_namespace: party.mount_namespace,
            user_namespace: party.user_namespace,
            setup: party.flags & party_flag::SETUP != 0,
            kernel_thread: party.flags & party_flag::KERNEL_THREAD != 0,
        }
    }
}
