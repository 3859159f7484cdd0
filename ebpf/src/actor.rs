//! Who acts, and whose a cgroup is.

use aya_ebpf::helpers::bpf_get_current_cgroup_id;
use bulkhead_abi::{Identity, TaskState};

use crate::{
    kernel::{Cgroup, Task},
    maps::{CGROUPS, STATE, STATE_OVERFLOW, TASKS},
};

/// A workload's process that is doing something.
#[derive(Clone, Copy)]
pub struct Actor {
    pub cgroup: u64,
    pub identity: Identity,
}

impl Actor {
    /// The current task, if it belongs to a workload. One lookup.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        let cgroup = unsafe { bpf_get_current_cgroup_id() };
        let identity = match unsafe { CGROUPS.get(&cgroup) } {
            Some(identity) => *identity,
            None => inherited(Task::current().cgroup())?,
        };
        Some(Self { cgroup, identity })
    }
}

/// Whose the cgroup is; `None` for the host's.
#[inline(always)]
pub fn identity_of(cgroup: Cgroup) -> Option<Identity> {
    match unsafe { CGROUPS.get(&cgroup.id()) } {
        Some(identity) => Some(*identity),
        None => inherited(cgroup),
    }
}

/// The entry of the nearest ancestor, where the map has once been full: then a cgroup without an
/// entry need not be the host's, and a tenant that made too many gains nothing by it.
#[inline(always)]
fn inherited(cgroup: Cgroup) -> Option<Identity> {
    match STATE.get(STATE_OVERFLOW) {
        Some(1) => walk(cgroup.0 as u64),
        _ => None,
    }
}

fn walk(mut address: u64) -> Option<Identity> {
    for _ in 0..32 {
        address = Cgroup::parent_of(address);
        if address == 0 {
            return None;
        }
        if let Some(identity) = unsafe { CGROUPS.get(&Cgroup::id_copied(address)) } {
            return Some(*identity);
        }
    }
    None
}

/// Where a task stands between set-up and workload.
#[inline(always)]
pub fn state_of(task: Task) -> TaskState {
    match TASKS.get(task.leader()) {
        Some(mark) => match mark.state {
            1 => TaskState::Setup,
            2 => TaskState::Workload,
            _ => TaskState::Unmarked,
        },
        None => TaskState::Unmarked,
    }
}
