//! What is the agent's own: its process, its files, its sockets. It says so itself (`STATE`, `OWN`);
//! what is said outlives it, as the guard does.

use aya_ebpf::{macros::map, maps::HashMap};
use bulkhead_abi::{OwnFile, START_TICK, own_device, own_process};

use crate::{
    kernel::{self, Task, TaskAddress},
    maps::{STATE, STATE_AGENT, STATE_OWN_DEVICES},
};

/// Files and directories of the agent's.
#[map]
pub static OWN: HashMap<OwnFile, u32> = HashMap::with_max_entries(64, 0);

/// Directories that are looked at above a file, itself included: `captures/FILE` and its like.
const LEVELS: u32 = 4;

/// Whether the task at an address is the agent's.
#[inline(always)]
pub fn is_process(task: u64) -> bool {
    let leader = TaskAddress(task).leader();
    let word = own_process(leader.tgid(), leader.start_time() / START_TICK);
    matches!(STATE.get(STATE_AGENT), Some(agent) if *agent == word)
}

/// Whether anything on a device is the agent's; or, rarely, another device with the same bit has it.
#[inline(always)]
pub fn is_on_device(device: u32) -> bool {
    matches!(STATE.get(STATE_OWN_DEVICES), Some(devices) if *devices & own_device(device) != 0)
}

/// Whether the file of a dentry is the agent's: it is on the list, or a directory above it; and it is
/// not the agent that asks. A global function, which the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_own_file(dentry: u64) -> i32 {
    let device = kernel::dentry_superblock(dentry).device();
    if !is_on_device(device) {
        return 0;
    }
    let mut at = dentry;
    for _ in 0..LEVELS {
        let inode = kernel::dentry_inode(at).number();
        // SAFETY: the value is not read.
        if unsafe { OWN.get(OwnFile { inode, device, padding: 0 }) }.is_some() {
            return i32::from(!is_process(kernel::address_of(Task::current().0)));
        }
        at = kernel::dentry_parent(at);
    }
    0
}

/// The same, as a question.
#[inline(always)]
pub fn is_file(dentry: u64) -> bool {
    is_own_file(dentry) != 0
}
