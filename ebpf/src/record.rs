//! Filling records. Only what the policy asks to report comes here.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_probe_read_kernel};
use bulkhead_abi::{
    Effect, File, Header, Identity, Kind, PATH_LEN, Party, Phase, Relation, Rule, Rung, Verdict,
    party_flag, record_flag,
};

use crate::kernel::{self, Task};

/// Names of a path that are kept; what lies above them is cut off.
const MAX_DEPTH: usize = 24;
/// Bytes kept of one name. With the path's last byte at `PATH_LEN`, a copy of this length can
/// never leave the record, whatever the verifier believes of the position.
const NAME_MASK: u32 = 127;

/// The decision that a record tells.
#[derive(Clone, Copy)]
pub struct Decision {
    pub rule: Rule,
    pub relation: Relation,
    pub verdict: Verdict,
    pub effect: Effect,
    pub rung: Rung,
    pub phase: Phase,
}

#[inline(always)]
pub unsafe fn fill_header(
    header: *mut Header,
    kind: Kind,
    decision: &Decision,
    arguments: [u64; 3],
) {
    unsafe {
        let (syscall, compat) = Task::current().system_call();
        (*header).time = bpf_ktime_get_boot_ns();
        (*header).arguments = arguments;
        (*header).syscall = syscall;
        (*header).rule = decision.rule as u16;
        (*header).kind = kind as u8;
        (*header).verdict = decision.verdict as u8;
        (*header).relation = decision.relation as u8;
        (*header).effect = decision.effect as u8;
        (*header).phase = decision.phase as u8;
        (*header).rung = decision.rung as u8;
        (*header).flags = if compat { record_flag::COMPAT } else { 0 };
        (*header).padding = [0; 3];
    }
}

/// A header of a record that tells no decision.
#[inline(always)]
pub unsafe fn fill_lifecycle_header(header: *mut Header, kind: Kind) {
    unsafe {
        (*header).time = bpf_ktime_get_boot_ns();
        (*header).arguments = [0; 3];
        (*header).syscall = -1;
        (*header).rule = 0;
        (*header).kind = kind as u8;
        (*header).verdict = 0;
        (*header).relation = 0;
        (*header).effect = 0;
        (*header).phase = Phase::Done as u8;
        (*header).rung = Rung::Tracepoint as u8;
        (*header).flags = 0;
        (*header).padding = [0; 3];
    }
}

/// Fills one end of an act. `setup`: the task is the runtime's, not the workload's.
#[inline(always)]
pub unsafe fn fill_party(
    party: *mut Party,
    task: Task,
    cgroup: u64,
    identity: Option<Identity>,
    setup: bool,
) {
    unsafe {
        let executable = task.executable();
        let (start, truncated) = if executable == 0 {
            (PATH_LEN as u16, false)
        } else {
            write_path((*party).path.as_mut_ptr(), kernel::file_dentry(executable))
        };
        let mut flags = 0;
        if truncated {
            flags |= party_flag::PATH_TRUNCATED;
        }
        if setup {
            flags |= party_flag::SETUP;
        }
        // linux/sched.h: PF_KTHREAD
        if task.flags() & 0x0020_0000 != 0 {
            flags |= party_flag::KERNEL_THREAD;
        }
        (*party).path_start = start;
        match identity {
            Some(identity) => {
                flags |= party_flag::WORKLOAD;
                (*party).identity = identity;
            }
            None => {
                (*party).identity =
                    Identity { container: 0, pod: 0, tenant: 0, slot: 0, flags: 0 };
            }
        }
        (*party).flags = flags;
        (*party).cgroup = cgroup;
        (*party).start_time = task.leader().start_time();
        let (uid, gid, capabilities, namespace) = kernel::credentials(task.credentials());
        (*party).uid = uid;
        (*party).gid = gid;
        (*party).capabilities = capabilities;
        (*party).user_namespace = namespace;
        (*party).padding = 0;
        let (inode, device, ..) = kernel::inode_facts(kernel::file_inode(executable));
        (*party).exe_inode = inode;
        (*party).exe_device = device;
        (*party).pid = task.tgid();
        (*party).tid = task.tid();
        (*party).mount_namespace = task.mount_namespace();
        let parent = task.parent();
        (*party).parent_pid = kernel::task_tgid(parent);
        (*party).comm = kernel::read_string(task.name_address());
        (*party).parent_comm = kernel::read_string(kernel::task_name_address(parent));
    }
}

/// Fills the target of an act on a file.
#[inline(always)]
pub unsafe fn fill_file(file: *mut File, dentry: u64) {
    unsafe {
        let (start, truncated) = write_path((*file).path.as_mut_ptr(), dentry);
        let inode = kernel::dentry_inode(dentry);
        let (number, device, magic, mode, special) = kernel::inode_facts(inode);
        (*file).path_start = start;
        (*file).flags = if truncated { party_flag::PATH_TRUNCATED } else { 0 };
        (*file).inode = number;
        (*file).device = device;
        (*file).magic = magic;
        (*file).mode = mode;
        (*file).special_device = special;
        (*file).fstype = [0; 16];
    }
}

/// Writes the path of `dentry` inside its file system, from the end of a buffer of [`PATH_LEN`]
/// bytes that is followed by at least [`NAME_MASK`] + 1 more. Returns where it begins and whether
/// something was cut off.
#[inline(always)]
unsafe fn write_path(buffer: *mut u8, dentry: u64) -> (u16, bool) {
    let mut at = dentry;
    let mut position = PATH_LEN as u32;
    let mut whole = false;
    let mut truncated = false;
    for depth in 0..MAX_DEPTH {
        let parent = kernel::dentry_parent(at);
        let root = parent == at || parent == 0;
        if root && depth > 0 {
            whole = true;
            break;
        }
        let (mut length, name) = kernel::dentry_name(at);
        if length >= NAME_MASK {
            length = NAME_MASK - 1;
            truncated = true;
        }
        // A root is called "/" already, and what has no place in a tree (a memfd) gets none.
        let slash = u32::from(!root);
        if position < length + slash {
            break;
        }
        position -= length + slash;
        let place = (position & (PATH_LEN as u32 - 1)) as usize;
        unsafe {
            *buffer.add(place) = b'/';
            let _ = bpf_probe_read_kernel(
                buffer.add(place + slash as usize).cast::<c_void>(),
                length & NAME_MASK,
                name as *const c_void,
            );
        }
        if root {
            whole = true;
            break;
        }
        at = parent;
    }
    (position as u16, truncated || !whole)
}
