//! Whether hooks of this kind really fire here. With `bpf` missing from the kernel's `lsm=` list,
//! LSM programs load and attach and are never called.

use aya_ebpf::Global;
use bulkhead_abi::Rung;

use crate::{
    hooks::programs,
    kernel::{Arguments, Task},
    maps::{STATE, STATE_CANARY},
};

/// The process whose prctl(2) is the canary; set before loading.
#[unsafe(no_mangle)]
static CANARY_PID: Global<u32> = Global::new(0);

programs! {
    lsm_task_prctl "lsm/task_prctl", fentry_task_prctl "fentry/security_task_prctl" => task_prctl;
}

/// task_prctl(option, arg2, ...): keeps the option that the agent called with.
#[inline(always)]
fn task_prctl(arguments: Arguments, _rung: Rung) -> i32 {
    if Task::current().tgid() == CANARY_PID.load()
        && let Some(word) = STATE.get_ptr_mut(STATE_CANARY)
    {
        // SAFETY: a map value; one process writes it.
        unsafe { *word = arguments.number(0) & 0xffff_ffff };
    }
    0
}
