//! System calls that a container makes, while `bulkhead profile record` runs. The agent does not
//! attach this: a program on sys_enter taxes every call of the node.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::bpf_get_current_cgroup_id,
    macros::map,
    maps::{Array, HashMap},
};
use bulkhead_abi::{
    RECORDED_COMPAT, RECORDED_LEN, RECORDED_LOST, RECORDED_NUMBERS, RECORDED_OTHER,
    RECORDED_VALUES, RECORDED_WATCHED, RecordedValue, TaskState,
};

use crate::{
    actor,
    instructions::add_one,
    kernel::{self, Arguments, Task},
    maps::entry_of,
};

/// Counts by call; see `abi/src/recorded.rs` for the indexes.
#[map]
static RECORDED: Array<u64> = Array::with_max_entries(RECORDED_LEN, 0);

/// First arguments of the calls that are watched.
#[map]
static RECORDED_FIRST: HashMap<RecordedValue, u64> =
    HashMap::with_max_entries(RECORDED_VALUES, BPF_F_NO_PREALLOC);

/// sys_enter(regs, id): past seccomp, so that what a filter refuses is not seen here.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/sys_enter")]
fn tp_sys_enter(context: *mut core::ffi::c_void) -> i32 {
    // SAFETY: the helper takes nothing, and there is always a current cgroup.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    // The map of a recording has the recorded container, and nobody else.
    if entry_of(cgroup).is_none() {
        return 0;
    }
    let task = Task::current();
    if matches!(actor::state_of(task), TaskState::Setup) {
        return 0;
    }
    let arguments = Arguments(context);
    let number = arguments.number(1) as u32;
    let compat = task.is_compat();
    let index = match (number < RECORDED_NUMBERS, compat) {
        (false, _) => RECORDED_OTHER,
        (true, false) => number,
        (true, true) => RECORDED_COMPAT + number,
    };
    let Some(count) = RECORDED.get_ptr_mut(index) else { return 0 };
    add_one(count);
    // SAFETY: a map value; the bit is set before the program is attached, and stays.
    if unsafe { *count } & RECORDED_WATCHED != 0 {
        let value = kernel::first_argument(arguments.number(0), compat) as u32;
        keep(RecordedValue { call: index, value });
    }
    0
}

#[inline(always)]
fn keep(key: RecordedValue) {
    if let Some(count) = RECORDED_FIRST.get_ptr_mut(key) {
        add_one(count);
    } else if RECORDED_FIRST.insert(key, 1, 0).is_err()
        && let Some(lost) = RECORDED.get_ptr_mut(RECORDED_LOST)
    {
        add_one(lost);
    }
}
