//! Who is who: cgroups made and removed, tasks placed, forked and executed. All on BTF
//! tracepoints, which every supported kernel has, so that identity never depends on the rung.

use aya_ebpf::{bindings::BPF_RB_FORCE_WAKEUP, maps::lpm_trie::Key};
use bulkhead_abi::{
    CgroupGone, CgroupMade, Identity, Kind, Phase, Relation, Rule, Rung, ScopeName, TaskMark,
    TaskState,
};
use bulkhead_guard::{cgroups, setup};

use crate::{
    actor::{self, Actor},
    instructions::add_one,
    kernel::{self, Arguments, Cgroup, Object, Task, TaskAddress},
    lineage,
    maps::{
        CGROUPS, GRANTS, LIFECYCLE, NAMESPACES, SCOPES, STATE, STATE_LIFECYCLE_LOST, STATE_MOVED,
        STATE_OVERFLOW, TASKS, entry_of, entry_or_host, namespace_entry,
    },
    record,
    settle::{Site, TaskTarget, on_task},
};

/// cgroup_mkdir(cgrp, path): the new cgroup has no task yet.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/cgroup_mkdir")]
fn tp_cgroup_mkdir(context: *mut core::ffi::c_void) -> i32 {
    let cgroup = Cgroup(Arguments(context).object(0));
    if !cgroup.is_default_hierarchy() {
        return 0;
    }
    let id = cgroup.id();
    let parent_id = Cgroup::id_copied(Cgroup::parent_of(cgroup.0 as u64));
    let scope = scope_of(cgroup);
    let parent = entry_of(parent_id);
    let by_host = current_is_host();
    let entry = cgroups::made(parent, scope, by_host, id, parent_id);
    if let Some(identity) = entry
        && CGROUPS.insert(id, identity, 0).is_err()
        && let Some(overflow) = STATE.get_ptr_mut(STATE_OVERFLOW)
    {
        // SAFETY: a map value; every writer writes the same.
        unsafe { *overflow = 1 };
    }
    announce_made(cgroup, id, parent_id, entry);
    0
}

/// cgroup_rmdir(cgrp, path): no task is left in it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/cgroup_rmdir")]
fn tp_cgroup_rmdir(context: *mut core::ffi::c_void) -> i32 {
    let cgroup = Cgroup(Arguments(context).object(0));
    if !cgroup.is_default_hierarchy() {
        return 0;
    }
    let id = cgroup.id();
    let identity = entry_or_host(id);
    // Absent is as good as removed.
    let _absent = (CGROUPS.remove(id), GRANTS.remove(id));
    match LIFECYCLE.reserve::<CgroupGone>(0) {
        Some(mut entry) => {
            let gone = entry.as_mut_ptr();
            // SAFETY: `gone` points into the record that was reserved just above.
            unsafe {
                record::fill_lifecycle_header(&raw mut (*gone).header, Kind::CgroupGone);
                (*gone).cgroup = id;
                (*gone).identity = identity;
            }
            entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
        }
        None => lost(),
    }
    0
}

/// cgroup_attach_task(dst, path, task, threadgroup): a task was moved.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/cgroup_attach_task")]
fn tp_cgroup_attach_task(context: *mut core::ffi::c_void) -> i32 {
    let arguments = Arguments(context);
    let cgroup = Cgroup(arguments.object(0));
    if !cgroup.is_default_hierarchy() {
        return 0;
    }
    let task = Task(arguments.object(2));
    match mover() {
        Some(mover) => {
            // Who has gone there by itself needs nobody to set it up.
            if task.tgid() == Task::current().tgid() {
                mark(task, TaskState::Workload);
            }
            keep_origin(&mover, task, cgroup.id());
        }
        None => mark(task, setup::placed(actor::state_of(task), true)),
    }
    0
}

/// sched_process_fork(parent, child): the child is in its cgroup and has not run yet.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_fork")]
fn tp_sched_process_fork(context: *mut core::ffi::c_void) -> i32 {
    let arguments = Arguments(context);
    let (parent, child) = (Task(arguments.object(0)), Task(arguments.object(1)));
    if child.tid() != child.tgid() {
        return 0;
    }
    // Another cgroup than the parent's: born there by CLONE_INTO_CGROUP.
    let elsewhere = child.cgroup() != parent.cgroup();
    let before = match actor::state_of(parent) {
        TaskState::Unmarked if !current_is_host() => actor::standing_of_current(),
        state => state,
    };
    let state = setup::forked(before, elsewhere && current_is_host());
    if !matches!(state, TaskState::Unmarked) {
        mark(child, state);
        hand_down(parent, child);
    }
    if elsewhere && let Some(mover) = mover() {
        keep_origin(&mover, child, child.cgroup().id());
    }
    0
}

/// sched_process_exec(p, old_pid, bprm).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_exec")]
fn tp_sched_process_exec(context: *mut core::ffi::c_void) -> i32 {
    let arguments = Arguments(context);
    let task = Task(arguments.object(0));
    match TASKS.get(task.leader()) {
        Some(mark) => {
            let file = kernel::program_file(arguments.number(2));
            let exec = setup::Exec {
                memory_as_placed: mark.memory == task.memory(),
                unlinked_file: kernel::file_inode(file).links() == 0,
                still_where_placed: mark.placed_in == task.mount_namespace(),
                on_the_node: current_is_host(),
            };
            let before = actor::state_of(task);
            mark.state = setup::executed(before, exec) as u32;
            mark.memory = task.memory();
            if matches!(before, TaskState::Setup) && mark.state == TaskState::Workload as u32 {
                lineage::entered(task);
            }
        }
        None => {
            if current_is_host() {
                return 0;
            }
            self::mark(task, actor::standing_of_current());
        }
    }
    set_origin(task);
    claim_namespaces(task);
    0
}

#[repr(C)]
pub struct IteratorContext {
    meta: *const core::ffi::c_void,
    pub task: Object,
}

/// Marks every task that already runs in a workload's cgroup, once, when the agent starts: a task
/// that was there before the agent is workload, and nobody's later move makes it anything else.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn adopt(context: *mut IteratorContext) -> i32 {
    // SAFETY: the kernel's context for task iterators; the last call has no task.
    let task = unsafe { (*context).task };
    if task.is_null() {
        return 0;
    }
    let task = Task(task);
    if task.tid() == task.tgid()
        && !actor::identity_of(task.cgroup()).is_host()
        && matches!(actor::state_of(task), TaskState::Unmarked)
    {
        mark(task, TaskState::Workload);
        set_origin(task);
        claim_namespaces(task);
    }
    0
}

/// The namespaces that a workload executes programs in are its own, but those that are somebody
/// else's already: its pod's, the node's, or another's that it has entered.
#[inline(always)]
fn claim_namespaces(task: Task) {
    let Some(mark) = TASKS.get(task.leader()) else { return };
    if mark.origin_known == 1 && mark.state == TaskState::Workload as u32 {
        claim_for(kernel::address_of(task.0), mark.origin.container);
    }
}

/// A global function, which the verifier looks at once. `task` is an address, `container` the id of
/// a cgroup that has an entry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn claim_for(task: u64, container: u64) -> i32 {
    let Some(identity) = entry_of(container) else { return 0 };
    for number in TaskAddress(task).namespaces() {
        let taken = match namespace_entry(number) {
            // A container that is gone owns nothing: the kernel gives its numbers out again.
            Some(owner) => owner.is_host() || entry_of(owner.container).is_some(),
            None => number == 0,
        };
        if !taken {
            // Without room the namespace stays nobody's, and nothing is refused for its sake.
            let _full = NAMESPACES.insert(number, identity, 0);
        }
    }
    0
}

/// Remembers which workload a task is a part of, once it has executed a program in its cgroup.
#[inline(always)]
fn set_origin(task: Task) {
    let Some(mark) = TASKS.get(task.leader()) else { return };
    if mark.origin_known == 1 || mark.state != TaskState::Workload as u32 {
        return;
    }
    let identity = actor::identity_of(task.cgroup());
    if !identity.is_host() {
        mark.origin = identity;
        mark.origin_known = 1;
    }
}

/// A child is a part of what its parent is a part of.
#[inline(always)]
fn hand_down(parent: Task, child: Task) {
    let Some(from) = TASKS.get(parent.leader()) else { return };
    if from.origin_known != 1 {
        return;
    }
    let (origin, moved) = (from.origin, from.moved);
    if let Some(to) = TASKS.get(child.leader()) {
        to.origin = origin;
        to.origin_known = 1;
        to.moved = moved;
    }
}

/// The workload that is moving a task, if it is one. When it moves itself it is gone already, so
/// that its cgroup no longer tells.
#[inline(always)]
fn mover() -> Option<Actor> {
    match actor::workload_of(Task::current()) {
        Some(identity) => {
            let cgroup = Task::current().cgroup().id();
            Some(Actor { cgroup, home: 0, identity })
        }
        None => Actor::current(),
    }
}

/// A workload's process has put `task` into a cgroup: unless that is a part of its container, the
/// task stays the workload's wherever it is, and the move is told. (The kernel has no hook that
/// could refuse it; the opening of `cgroup.procs` is refused in `hooks/files.rs`.)
#[inline(always)]
fn keep_origin(mover: &Actor, task: Task, cgroup: u64) {
    let owner = entry_or_host(cgroup);
    if cgroups::is_own(&mover.identity, mover.home, &owner, cgroup) {
        return;
    }
    if let Some(moved) = STATE.get_ptr_mut(STATE_MOVED) {
        // SAFETY: a map value; every writer writes the same.
        unsafe { *moved = 1 };
    }
    if let Some(mark) = TASKS.get_or_create(task.leader()) {
        mark.state = TaskState::Workload as u32;
        mark.moved = 1;
        if mark.origin_known != 1 {
            mark.origin = mover.identity;
            mark.origin_known = 1;
        }
    }
    let task = kernel::address_of(task.0);
    let target = TaskTarget { task, cgroup, identity: owner, setup: false };
    let site = Site { rung: Rung::Tracepoint, phase: Phase::Done };
    // A tracepoint refuses nothing: there is no answer to give.
    let _told = on_task(mover, Rule::CgroupControl, Relation::None, &target, [0; 3], site);
}

#[inline(always)]
fn mark(task: Task, state: TaskState) {
    // Without room for the mark the task counts as workload: the strict reading.
    if let Some(mark) = TASKS.get_or_create(task.leader())
        && mark.state == TaskState::Unmarked as u32
    {
        *mark = TaskMark {
            state: state as u32,
            placed_in: task.mount_namespace(),
            memory: task.memory(),
            origin_known: mark.origin_known,
            moved: mark.moved,
            origin: mark.origin,
        };
    }
}

#[inline(always)]
fn current_is_host() -> bool {
    Actor::current().is_none()
}

/// The template for a cgroup of this name.
#[inline(always)]
fn scope_of(cgroup: Cgroup) -> Option<&'static Identity> {
    let address = cgroup.name_address();
    if cgroups::is_service(kernel::string_tail(address)) {
        return None;
    }
    let name = ScopeName { name: kernel::read_string(address) };
    SCOPES.get(Key::new(256, name))
}

#[inline(always)]
fn announce_made(cgroup: Cgroup, id: u64, parent: u64, entry: Option<Identity>) {
    let Some(mut slot) = LIFECYCLE.reserve::<CgroupMade>(0) else { return lost() };
    let made = slot.as_mut_ptr();
    // SAFETY: `made` points into the record that was reserved just above.
    unsafe {
        record::fill_lifecycle_header(&raw mut (*made).header, Kind::CgroupMade);
        (*made).cgroup = id;
        (*made).parent = parent;
        (*made).identity = match entry {
            Some(identity) => identity,
            None => Identity::HOST,
        };
        record::read_text(&raw mut (*made).name, cgroup.name_address());
    }
    slot.submit(u64::from(BPF_RB_FORCE_WAKEUP));
}

/// The agent reads the count and walks the tree again.
#[inline(always)]
fn lost() {
    if let Some(value) = STATE.get_ptr_mut(STATE_LIFECYCLE_LOST) {
        add_one(value);
    }
}
