//! Filling records. Only what the policy asks to report comes here.

use core::{ffi::c_void, hint::black_box};

use aya_ebpf::helpers::generated::{
    bpf_ktime_get_boot_ns, bpf_loop, bpf_probe_read_kernel, bpf_probe_read_kernel_str,
};
use bulkhead_abi::{
    Effect, File, Header, Identity, Kind, PATH_LEN, Party, Phase, Relation, Rule, Rung,
    SENSITIVE_NAME_LEN, SensitiveFile, Verdict, file_target, party_flag, record_flag,
};

use crate::{
    instructions::opaque,
    kernel::{self, Task, TaskAddress},
};

/// Names of a path that are kept; what lies above them is cut off.
const MAX_DEPTH: u32 = 32;
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
    /// Whether the record takes the lane that nothing else can fill.
    pub critical: bool,
    /// On what ([`bulkhead_abi::ActKey::target`]).
    pub target: [u64; 3],
}

/// The system call that the current task is in, and whether it came through a 32-bit entry. Cgroup
/// programs have no way to the registers.
#[inline(always)]
pub fn system_call(rung: Rung) -> (i32, bool) {
    match rung {
        Rung::Cgroup => (-1, false),
        _ => Task::current().system_call(),
    }
}

/// The id of the process that acts.
#[inline(always)]
pub fn current_process() -> u32 {
    Task::current().tgid()
}

#[inline(always)]
pub unsafe fn fill_header(
    header: *mut Header,
    kind: Kind,
    decision: &Decision,
    arguments: [u64; 3],
) {
    // SAFETY: the caller gives a pointer into a record that it has reserved.
    unsafe {
        let (syscall, compat) = system_call(decision.rung);
        (*header).time = bpf_ktime_get_boot_ns();
        (*header).arguments = arguments;
        (*header).target = decision.target;
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
    // SAFETY: the caller gives a pointer into a record that it has reserved.
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

/// Fills one end of an act. `task` is an address, 0 where there is no process; `setup`: the task is
/// the runtime's, not the workload's.
#[inline(always)]
pub unsafe fn fill_party(
    party: *mut Party,
    task: u64,
    cgroup: u64,
    identity: Identity,
    setup: bool,
) {
    // SAFETY: the caller gives a pointer into a record that it has reserved.
    unsafe {
        fill_process(party, task);
        if setup {
            (*party).flags |= party_flag::SETUP;
        }
        (*party).cgroup = cgroup;
        (*party).identity = identity;
        if !identity.is_host() {
            (*party).flags |= party_flag::WORKLOAD;
        }
    }
}

/// Fills what a party's process is. A global function: the verifier looks at it once, by itself,
/// instead of once for every way that leads to it. `task` is an address.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fill_process(party: *mut Party, task: u64) -> i32 {
    if party.is_null() {
        return 0;
    }
    let task = TaskAddress(task);
    // SAFETY: the caller's record, as large as its type says; the verifier holds us to it.
    unsafe {
        let executable = task.executable();
        let mut flags = 0;
        (*party).path_start = PATH_LEN as u16;
        if executable != 0 {
            let (start, truncated) =
                write_path((*party).path.as_mut_ptr(), kernel::file_dentry(executable));
            (*party).path_start = start;
            if truncated {
                flags |= party_flag::PATH_TRUNCATED;
            }
        }
        // linux/sched.h: PF_KTHREAD
        if task.flags() & 0x0020_0000 != 0 {
            flags |= party_flag::KERNEL_THREAD;
        }
        (*party).flags = flags;
        let leader = task.leader();
        (*party).start_time = leader.start_time();
        let (uid, gid, capabilities, namespace) = kernel::credentials(task.credentials());
        (*party).uid = uid;
        (*party).gid = gid;
        (*party).capabilities = capabilities;
        (*party).user_namespace = namespace;
        (*party).padding = 0;
        let inode = kernel::file_inode(executable);
        (*party).exe_inode = inode.number();
        (*party).exe_device = inode.superblock().device();
        (*party).pid = task.tgid();
        (*party).tid = task.tid();
        (*party).mount_namespace = task.mount_namespace();
        let parent = task.parent();
        (*party).parent_pid = parent.tgid();
        read_text(&raw mut (*party).comm, task.name());
        read_text(&raw mut (*party).parent_comm, parent.name());
    }
    0
}

/// Copies a name straight into the record, zero-filled.
#[inline(always)]
pub unsafe fn read_text<const N: usize>(to: *mut [u8; N], address: u64) {
    // SAFETY: the caller gives a pointer into a record that it has reserved; the helper is told
    // its length, and checks the address itself.
    unsafe {
        (*to) = [0; N];
        // A failed copy leaves the zeroes: an unreadable name is no name.
        let _length =
            bpf_probe_read_kernel_str(to.cast::<c_void>(), N as u32, address as *const c_void);
    }
}

/// Fills the target of an act on a file. A global function, as [`fill_process`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fill_file(file: *mut File, dentry: u64) -> i32 {
    if file.is_null() {
        return 0;
    }
    // SAFETY: the caller's record, as large as its type says; the verifier holds us to it.
    unsafe {
        let (start, truncated) = write_path((*file).path.as_mut_ptr(), dentry);
        let inode = kernel::dentry_inode(dentry);
        let superblock = inode.superblock();
        (*file).path_start = start;
        (*file).flags = if truncated { party_flag::PATH_TRUNCATED } else { 0 };
        (*file).inode = inode.number();
        (*file).device = superblock.device();
        (*file).magic = superblock.magic();
        (*file).mode = inode.mode();
        (*file).special_device = inode.device_number();
        (*file).fstype = [0; 16];
    }
    0
}

/// What tells the file of a dentry from others, before there is a record.
#[inline(always)]
pub fn file_at(dentry: u64) -> [u64; 3] {
    let inode = kernel::dentry_inode(dentry);
    let superblock = inode.superblock();
    file_target(inode.number(), superblock.device(), inode.device_number(), superblock.magic())
}

/// What tells a name in its directory from others: there may be no file there yet.
#[inline(always)]
pub fn name_at(dentry: u64) -> [u64; 3] {
    let directory = file_at(kernel::dentry_parent(dentry));
    [directory[0], directory[1], kernel::dentry_name_hash(dentry)]
}

/// Says whose a file is.
#[inline(always)]
pub unsafe fn fill_owner(file: *mut File, owner: Identity) {
    // SAFETY: the caller gives a pointer into a record that it has reserved.
    unsafe {
        (*file).owner = owner;
        (*file).flags |= party_flag::OWNED;
    }
}

/// Fills a target of which only the device number is known.
#[inline(always)]
pub unsafe fn fill_device(file: *mut File, mode: u32, device: u32) {
    // SAFETY: the caller gives a pointer into a record that it has reserved.
    unsafe {
        fill_nameless(file);
        (*file).mode = mode;
        (*file).special_device = device;
    }
}

/// Fills a target of which only the file system and the name are known.
#[inline(always)]
pub unsafe fn fill_name(file: *mut File, key: &SensitiveFile) {
    // SAFETY: the caller gives a pointer into a record that it has reserved.
    unsafe {
        fill_nameless(file);
        (*file).magic = key.magic;
        // The name is the path's end; what lies above it is not known here.
        let start = PATH_LEN - SENSITIVE_NAME_LEN;
        for at in 0..SENSITIVE_NAME_LEN {
            (*file).path[start + at] = key.name[at];
        }
        (*file).path_start = start as u16;
        (*file).flags = party_flag::PATH_TRUNCATED;
    }
}

#[inline(always)]
unsafe fn fill_nameless(file: *mut File) {
    // SAFETY: the caller gives a pointer into a record that it has reserved.
    unsafe {
        (*file).path_start = PATH_LEN as u16;
        (*file).flags = 0;
        (*file).inode = 0;
        (*file).device = 0;
        (*file).magic = 0;
        (*file).mode = 0;
        (*file).special_device = 0;
        (*file).fstype = [0; 16];
    }
}

/// A path being written, from its last name up.
struct PathWriter {
    /// A buffer of [`PATH_LEN`] bytes, followed by at least [`NAME_MASK`] + 1 more.
    buffer: *mut u8,
    /// What is written next; 0 once the root has been.
    dentry: u64,
    position: u64,
    /// Names that were shortened.
    shortened: u64,
}

/// Writes the path of `dentry` inside its file system at the end of `buffer`. Returns where it
/// begins and whether something was cut off.
#[inline(always)]
pub unsafe fn write_path(buffer: *mut u8, dentry: u64) -> (u16, bool) {
    // The verifier looks at the step until it meets no new state. With numbers that it knows at the
    // beginning, it would meet one for each sum of name lengths.
    let zero = opaque(0);
    let mut writer =
        PathWriter { buffer, dentry, position: PATH_LEN as u64 + zero, shortened: zero };
    // SAFETY: `write_name` is a program of the type that the helper calls, and the writer outlives
    // the loop.
    unsafe {
        bpf_loop(MAX_DEPTH, write_name as *mut c_void, (&raw mut writer).cast::<c_void>(), 0);
    }
    (writer.position as u16, writer.shortened != 0 || writer.dentry != 0)
}

/// One step: writes the name of the writer's dentry and goes to its parent. Returns 1 at the end.
extern "C" fn write_name(depth: u32, context: *mut c_void) -> i64 {
    let writer = context.cast::<PathWriter>();
    // SAFETY: bpf_loop passes the pointer that `write_path` gave it.
    unsafe {
        let dentry = (*writer).dentry;
        let parent = kernel::dentry_parent(dentry);
        let root = parent == dentry || parent == 0;
        if root && depth > 0 {
            (*writer).dentry = 0;
            return 1;
        }
        let (mut length, name) = kernel::dentry_name(dentry);
        if length >= NAME_MASK {
            length = NAME_MASK - 1;
            (*writer).shortened += 1;
        }
        // A root is called "/" already, and what has no place in a tree (a memfd) gets none.
        let slash = u32::from(!root);
        let needed = u64::from(length + slash);
        if (*writer).position < needed {
            return 1;
        }
        let position = (*writer).position - needed;
        (*writer).position = position;
        // The compiler knows that both masks change nothing and would drop them; the verifier does
        // not know and wants to see them.
        let place = black_box(position as usize) & (PATH_LEN - 1);
        let length = black_box(length) & NAME_MASK;
        let buffer = (*writer).buffer;
        *buffer.add(place) = b'/';
        // An unreadable name leaves the zeroes or the bytes of an older record behind its slash;
        // the dentry is pinned by the file that is being opened, so that this does not happen.
        let _unread = bpf_probe_read_kernel(
            buffer.add(place + slash as usize).cast::<c_void>(),
            length,
            name as *const c_void,
        );
        (*writer).dentry = if root { 0 } else { parent };
        i64::from(root)
    }
}
