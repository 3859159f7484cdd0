//! From which processes a workload's process comes. Kept on the task itself and handed down at each
//! birth, so that it needs no room of its own and says what was true then, whoever has ended since.
//!
//! Nothing is decided by any of this, so that its programs are its own: where the kernel does not
//! take one, lineages are told as far as they are known and all the rest goes on.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user},
    macros::map,
    maps::RingBuf,
};
use bulkhead_abi::{
    ARGUMENTS_LEN, Ancestor, Executed, Kind, Lineage, NEAREST, Rung, TaskState, lineage_flag,
};

use crate::{
    actor,
    instructions::add_one,
    kernel::{self, Arguments, Cgroup, Task, TaskAddress},
    lifecycle::IteratorContext,
    maps::{STATE, STATE_EXECUTED_LOST, TaskStorage, entry_of},
    record,
};

/// Kept on the leader of each thread group of a workload.
#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
pub static LINEAGES: TaskStorage<Lineage> = TaskStorage::new();

/// Programs that workloads executed: command lines for the lineages. Read at the agent's next look;
/// nobody is woken for it.
#[map]
pub static EXECUTED: RingBuf = RingBuf::with_byte_size(512 << 10, 0);

/// sched_process_fork(parent, child). The program of `lifecycle.rs` comes before: the child is
/// marked, and has not run yet.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_fork")]
fn tp_lineage_fork(context: *mut c_void) -> i32 {
    let arguments = Arguments(context);
    let (parent, child) = (Task(arguments.object(0)), Task(arguments.object(1)));
    if child.tid() == child.tgid() && is_marked_workload(child) {
        born(parent, child);
    }
    0
}

/// sched_process_exec(p, old_pid, bprm). The program of `lifecycle.rs` comes before.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sched_process_exec")]
fn tp_lineage_exec(context: *mut c_void) -> i32 {
    let task = Task(Arguments(context).object(0));
    if is_marked_workload(task) {
        executed(task);
    }
    0
}

/// Once when the agent starts, after `adopt`: processes that nobody has seen come.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn adopt_lineages(context: *mut IteratorContext) -> i32 {
    // SAFETY: the kernel's context for task iterators; the last call has no task.
    let task = unsafe { (*context).task };
    if task.is_null() {
        return 0;
    }
    let task = Task(task);
    if task.tid() == task.tgid()
        && is_marked_workload(task)
        && let Some(lineage) = LINEAGES.get_or_create(task)
        && is_unknown(lineage)
    {
        reconstruct(lineage, kernel::address_of(task.0));
    }
    0
}

/// The runtime's set-up becomes a workload's process: a lineage begins.
#[inline(always)]
pub fn entered(task: Task) {
    if let Some(lineage) = LINEAGES.get_or_create(task.leader()) {
        lineage.depth = 0;
        lineage.flags = lineage_flag::WHOLE | lineage_flag::EXECUTED;
    }
}

#[inline(always)]
fn born(parent: Task, child: Task) {
    let Some(to) = LINEAGES.get_or_create(child) else { return };
    let leader = parent.leader();
    let Some(from) = LINEAGES.get(leader) else {
        reconstruct(to, kernel::address_of(child.0));
        return;
    };
    to.depth = from.depth.wrapping_add(1);
    to.flags = from.flags & !lineage_flag::EXECUTED;
    // SAFETY: two map values of this type; the copy is of as many bytes as both have from there.
    unsafe {
        let room = size_of::<[Ancestor; NEAREST - 1]>() as u32;
        let _whole = bpf_probe_read_kernel(
            (&raw mut to.nearest[1]).cast::<c_void>(),
            room,
            (&raw const from.nearest).cast::<c_void>(),
        );
        let own = from.flags & lineage_flag::EXECUTED;
        fill(&raw mut to.nearest[0], kernel::address_of(leader.0), own);
    }
    to.first = if from.depth > 0 { from.first } else { to.nearest[0] };
}

#[inline(always)]
fn executed(task: Task) {
    let leader = task.leader();
    let Some(lineage) = LINEAGES.get_or_create(leader) else { return };
    if is_unknown(lineage) {
        // A thread that has taken its leader's place, or nobody has seen it come.
        reconstruct(lineage, kernel::address_of(leader.0));
    }
    lineage.flags |= lineage_flag::EXECUTED;
    tell(task, lineage);
}

#[inline(always)]
fn is_marked_workload(task: Task) -> bool {
    matches!(actor::state_of(task), TaskState::Workload)
}

#[inline(always)]
fn is_unknown(lineage: &Lineage) -> bool {
    lineage.flags == 0 && lineage.depth == 0
}

/// Copies the lineage of the current task to the end of a record. A global function: the hooks have
/// no room left on their own stacks.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn copy_lineage(to: *mut Lineage) -> i32 {
    if to.is_null() {
        return 0;
    }
    // SAFETY: the end of the caller's record, as large as its type says; the verifier holds us to it.
    unsafe {
        match LINEAGES.get(Task::current().leader()) {
            Some(lineage) => {
                let from = core::ptr::from_ref::<Lineage>(lineage);
                let size = size_of::<Lineage>() as u32;
                let _whole =
                    bpf_probe_read_kernel(to.cast::<c_void>(), size, from.cast::<c_void>());
            }
            None => unknown(to),
        }
    }
    0
}

/// Says that nothing is known.
#[inline(always)]
unsafe fn unknown(to: *mut Lineage) {
    // SAFETY: the caller's.
    unsafe {
        (*to).depth = 0;
        (*to).flags = 0;
    }
}

/// Tells the lineage of who acts. Cgroup programs have no task storage.
///
/// # Safety
/// `to` points into a record that was reserved.
#[inline(always)]
pub unsafe fn copy(to: *mut Lineage, rung: Rung) {
    if matches!(rung, Rung::Cgroup) {
        // SAFETY: the caller's.
        unsafe { unknown(to) };
    } else {
        copy_lineage(to);
    }
}

/// Fills a lineage from the kernel's parents as they stand, as far as they are workloads. A global
/// function, which the verifier looks at once. `task` is an address.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn reconstruct(lineage: *mut Lineage, task: u64) -> i32 {
    if lineage.is_null() {
        return 0;
    }
    let mut address = task;
    let mut depth: usize = 0;
    // SAFETY: a map value of the caller's; the verifier holds us to its size.
    unsafe {
        (*lineage).flags = lineage_flag::ADOPTED;
        while depth < NEAREST {
            let parent = TaskAddress(address).parent().leader();
            if parent.0 == 0 || parent.0 == address || !is_workload(parent) {
                break;
            }
            let place = core::hint::black_box(depth) & (NEAREST - 1);
            let to = (&raw mut (*lineage).nearest).cast::<Ancestor>().add(place);
            // What it executed before the agent came is not known: its program is read elsewhere.
            fill(to, parent.0, lineage_flag::EXECUTED);
            fill(&raw mut (*lineage).first, parent.0, lineage_flag::EXECUTED);
            address = parent.0;
            depth += 1;
        }
        (*lineage).depth = depth as u32;
    }
    0
}

#[inline(always)]
fn is_workload(task: TaskAddress) -> bool {
    match entry_of(Cgroup::id_copied(task.cgroup())) {
        Some(identity) => !identity.is_host(),
        None => false,
    }
}

#[inline(always)]
unsafe fn fill(ancestor: *mut Ancestor, task: u64, flags: u32) {
    let task = TaskAddress(task);
    // SAFETY: the caller gives a pointer into a map value.
    unsafe {
        (*ancestor).start_time = task.start_time();
        (*ancestor).pid = task.tgid();
        (*ancestor).flags = flags;
        record::read_text(&raw mut (*ancestor).comm, task.name());
    }
}

#[inline(always)]
fn tell(task: Task, lineage: &Lineage) {
    let Some(mut slot) = EXECUTED.reserve::<Executed>(0) else {
        if let Some(lost) = STATE.get_ptr_mut(STATE_EXECUTED_LOST) {
            add_one(lost);
        }
        return;
    };
    let executed = slot.as_mut_ptr();
    // SAFETY: `executed` points into the record that was reserved just above.
    unsafe {
        record::fill_lifecycle_header(&raw mut (*executed).header, Kind::Executed);
        (*executed).identity = actor::identity_of_task(task);
        (*executed).pid = task.tgid();
        (*executed).padding = 0;
        let known = lineage.depth > 0;
        (*executed).entered = u32::from(!known && lineage.flags & lineage_flag::WHOLE != 0);
        (*executed).parent_pid = if known { lineage.nearest[0].pid } else { 0 };
        (*executed).parent_start_time = if known { lineage.nearest[0].start_time } else { 0 };
        fill_executed(executed, kernel::address_of(task.0));
    }
    slot.submit(u64::from(BPF_RB_NO_WAKEUP));
}

/// Fills what the process has executed. A global function, as `reconstruct`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fill_executed(executed: *mut Executed, task: u64) -> i32 {
    if executed.is_null() {
        return 0;
    }
    let task = TaskAddress(task);
    // SAFETY: the caller's record, as large as its type says; the verifier holds us to it.
    unsafe {
        (*executed).start_time = task.leader().start_time();
        let dentry = kernel::file_dentry(task.executable());
        let (start, truncated) = record::write_path((*executed).path.as_mut_ptr(), dentry);
        (*executed).path_start = start;
        (*executed).flags = if truncated { bulkhead_abi::party_flag::PATH_TRUNCATED } else { 0 };
        let (begin, end) = task.arguments();
        let length = end.wrapping_sub(begin);
        (*executed).arguments_length = length as u32;
        let room = if length < ARGUMENTS_LEN as u64 { length as u32 } else { ARGUMENTS_LEN as u32 };
        let room = core::hint::black_box(room) & (2 * ARGUMENTS_LEN as u32 - 1);
        let room = if room > ARGUMENTS_LEN as u32 { ARGUMENTS_LEN as u32 } else { room };
        // The kernel has just laid the words down, and nobody has run since who could change them.
        // They decide nothing.
        let read = bpf_probe_read_user(
            (*executed).arguments.as_mut_ptr().cast::<c_void>(),
            room,
            begin as *const c_void,
        );
        if read != 0 {
            (*executed).arguments_length = 0;
        }
    }
    0
}
