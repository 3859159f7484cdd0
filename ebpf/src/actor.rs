//! Who acts, and whose a cgroup is.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_cgroup_id, generated::bpf_loop};
use bulkhead_abi::{Identity, TaskState};
use bulkhead_guard::setup;

use crate::{
    kernel::{self, Cgroup, Task, TaskAddress},
    maps::{STATE, STATE_MOVED, STATE_OVERFLOW, TASKS, entry_of, entry_or_host, namespace_entry},
};

/// Cgroups above a workload's that are looked at; a container's own are the nearest.
const MAX_NESTING: u32 = 32;

/// A workload's process that is doing something.
#[derive(Clone, Copy)]
pub struct Actor {
    pub cgroup: u64,
    /// The cgroup that counts as its own: where it is, or 0 once it was moved out of its own.
    pub home: u64,
    pub identity: Identity,
}

impl Actor {
    /// The current task, if it belongs to a workload: by its cgroup, or by where it came from if a
    /// workload has put it elsewhere.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        let mut actor = Self::in_cgroup();
        if moved_once() && origin_of_current(&raw mut actor.identity) == 1 {
            actor.home = 0;
        }
        if actor.identity.is_host() { None } else { Some(actor) }
    }

    /// The same by the cgroup alone, for programs that have no task storage.
    #[inline(always)]
    pub fn by_cgroup() -> Option<Self> {
        let actor = Self::in_cgroup();
        if actor.identity.is_host() { None } else { Some(actor) }
    }

    /// One lookup.
    #[inline(always)]
    fn in_cgroup() -> Self {
        // SAFETY: the helper takes nothing, and there is always a current cgroup.
        let cgroup = unsafe { bpf_get_current_cgroup_id() };
        let identity = match entry_of(cgroup) {
            Some(identity) => *identity,
            None => inherited(|| TaskAddress(kernel::address_of(Task::current().0)).cgroup()),
        };
        Self { cgroup, home: cgroup, identity }
    }
}

/// Whether a workload has ever put a task outside its own cgroups.
#[inline(always)]
pub fn moved_once() -> bool {
    matches!(STATE.get(STATE_MOVED), Some(1))
}

/// Whose a task is.
#[inline(always)]
pub fn identity_of_task(task: Task) -> Identity {
    if moved_once()
        && let Some(origin) = origin_of(task)
    {
        return origin;
    }
    identity_of(task.cgroup())
}

/// Whose the cgroup is.
#[inline(always)]
pub fn identity_of(cgroup: Cgroup) -> Identity {
    match entry_of(cgroup.id()) {
        Some(identity) => *identity,
        None => inherited(|| kernel::address_of(cgroup.0)),
    }
}

/// The entry of the nearest ancestor, where the map has once been full: then a cgroup without an
/// entry need not be the host's, and a tenant that made too many gains nothing by it. `address` gives
/// that of the cgroup.
#[inline(always)]
fn inherited(address: impl FnOnce() -> u64) -> Identity {
    match STATE.get(STATE_OVERFLOW) {
        Some(1) => entry_or_host(nearest_entry(address())),
        _ => Identity::HOST,
    }
}

/// The id of the nearest ancestor that has an entry; 0, which no cgroup has, where there is none.
/// A global function, which the verifier looks at once. `cgroup` is an address.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn nearest_entry(cgroup: u64) -> u64 {
    let mut climb = Climb { address: cgroup, found: 0 };
    // SAFETY: `climb_one` is a program of the type that the helper calls, and `climb` outlives the
    // loop.
    unsafe {
        bpf_loop(MAX_NESTING, climb_one as *mut c_void, (&raw mut climb).cast::<c_void>(), 0);
    }
    climb.found
}

/// A way up the tree of cgroups.
struct Climb {
    address: u64,
    found: u64,
}

/// One step: goes to the parent. Returns 1 at the end.
extern "C" fn climb_one(_step: u32, context: *mut c_void) -> i64 {
    let climb = context.cast::<Climb>();
    // SAFETY: bpf_loop passes the pointer that `nearest_entry` gave it.
    unsafe {
        let address = Cgroup::parent_of((*climb).address);
        (*climb).address = address;
        let id = Cgroup::id_copied(address);
        let found = entry_of(id).is_some();
        if found {
            (*climb).found = id;
        }
        i64::from(found || address == 0)
    }
}

/// The workload that a task came from, if a workload has put it outside its own cgroups: a task
/// does not become somebody else by leaving.
#[inline(always)]
pub fn origin_of(task: Task) -> Option<Identity> {
    match TASKS.get(task.leader()) {
        Some(mark) if mark.moved == 1 => Some(present(&mark.origin)),
        _ => None,
    }
}

/// The same of the current task, written to `identity`; 1 where there is such a workload. A global
/// function, which the verifier looks at once: it searches the kernel's types for each pointer that is
/// followed.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn origin_of_current(identity: *mut Identity) -> i32 {
    match origin_of(Task::current()) {
        Some(origin) if !identity.is_null() => {
            // SAFETY: the caller's, as large as its type says; the verifier holds us to it.
            unsafe { *identity = origin };
            1
        }
        _ => 0,
    }
}

/// 1 where the current task is still the runtime's. A global function for the same reason.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn current_is_setup() -> i32 {
    i32::from(matches!(standing_of_current(), TaskState::Setup))
}

/// Where the current task stands, which is in a workload's cgroup.
#[inline(always)]
pub fn standing_of_current() -> TaskState {
    let state = state_of(Task::current());
    let of_node = matches!(state, TaskState::Unmarked) && current_is_of_node();
    setup::standing(state, of_node)
}

/// Whether the current task's parent is on the host, and both are in one mount namespace.
#[inline(always)]
fn current_is_of_node() -> bool {
    let task = TaskAddress(kernel::address_of(Task::current().0));
    let parent = task.parent();
    task.mount_namespace() == parent.mount_namespace() && identity_at(parent.cgroup()).is_host()
}

/// The workload that a task is a part of, wherever it has gone meanwhile.
#[inline(always)]
pub fn workload_of(task: Task) -> Option<Identity> {
    match TASKS.get(task.leader()) {
        Some(mark) if mark.origin_known == 1 => Some(present(&mark.origin)),
        _ => None,
    }
}

/// What has become of an entry since it was copied: its container may have been named.
#[inline(always)]
pub fn present(copied: &Identity) -> Identity {
    match entry_of(copied.container) {
        Some(identity) => *identity,
        None => *copied,
    }
}

/// Whose a namespace is that the current task is not in itself; `None` where nobody has executed a program in it yet.
#[inline(always)]
pub fn owner_of_namespace(number: u32) -> Option<Identity> {
    let owner = namespace_entry(number).map(present)?;
    // A node's namespace that was given to the container (its network, say) is its own as well.
    if is_in_namespace(number) == 1 { None } else { Some(owner) }
}

/// 1 where the current task is in the namespace of this number. A global function, for its stack.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_in_namespace(number: u32) -> i32 {
    let task = TaskAddress(kernel::address_of(Task::current().0));
    i32::from(task.namespaces().contains(&number))
}

/// Whose the cgroup at `address` is.
#[inline(always)]
pub fn identity_at(address: u64) -> Identity {
    let entry = match (entry_of(Cgroup::id_copied(address)), STATE.get(STATE_OVERFLOW)) {
        (None, Some(1)) => entry_of(nearest_entry(address)),
        (entry, _) => entry,
    };
    match entry {
        Some(identity) => *identity,
        None => Identity::HOST,
    }
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
