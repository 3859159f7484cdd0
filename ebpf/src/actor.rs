//! Who acts, and whose a cgroup is.

use aya_ebpf::helpers::bpf_get_current_cgroup_id;
use bulkhead_abi::{Identity, TaskState};

use crate::{
    kernel::{self, Cgroup, Task},
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
            None => inherited(Task::current().cgroup()),
        };
        if identity.is_host() { None } else { Some(Self { cgroup, identity }) }
    }
}

/// Whose the cgroup is.
#[inline(always)]
pub fn identity_of(cgroup: Cgroup) -> Identity {
    match unsafe { CGROUPS.get(&cgroup.id()) } {
        Some(identity) => *identity,
        None => inherited(cgroup),
    }
}

/// The entry of the nearest ancestor, where the map has once been full: then a cgroup without an
/// entry need not be the host's, and a tenant that made too many gains nothing by it.
#[inline(always)]
fn inherited(cgroup: Cgroup) -> Identity {
    match STATE.get(STATE_OVERFLOW) {
        Some(1) => {
            let ancestor = nearest_entry(kernel::address_of(cgroup.0));
            match unsafe { CGROUPS.get(&ancestor) } {
                Some(identity) => *identity,
                None => Identity::HOST,
            }
        }
        _ => Identity::HOST,
    }
}

/// The id of the nearest ancestor that has an entry; 0, which no cgroup has, where there is none.
/// A global function, which the verifier looks at once. `cgroup` is an address.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn nearest_entry(cgroup: u64) -> u64 {
    let mut address = cgroup;
    for _ in 0..32 {
        address = Cgroup::parent_of(address);
        if address == 0 {
            return 0;
        }
        let id = Cgroup::id_copied(address);
        if unsafe { CGROUPS.get(&id) }.is_some() {
            return id;
        }
    }
    0
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
