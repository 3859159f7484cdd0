//! Reading kernel objects.
//!
//! Two ways: `field` is a direct load that the verifier checks against the kernel's BTF, for
//! pointers that it follows and where speed counts; `read` copies by helper, for the rest. Both
//! read zero from a bad address instead of faulting.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::helpers;
use bulkhead_guard::capabilities::Credentials;

mod files;
mod offset;
mod processes;
mod sockets;

use self::offset::{Offset, field, field_32};

pub use files::*;
pub use sockets::*;

macro_rules! offsets {
    ($($symbol:ident: $structure:literal, $member:literal, $need:ident;)+) => {
        $(
            #[doc = concat!("Offset of `", $structure, ".", $member, "`.")]
            const $symbol: Offset<{ bulkhead_abi::place_of(stringify!($symbol)) }> = Offset;
        )+
    };
}
bulkhead_abi::kernel_offsets!(offsets);

/// A kernel object that the verifier knows by type.
pub type Object = *const c_void;

/// Copies a value from kernel memory.
#[inline(always)]
pub fn read<T: Copy>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address itself and fails on a bad one.
    unsafe { helpers::bpf_probe_read_kernel(address as *const T).ok() }
}

/// The value at `address`, all zero where there is none: the helper clears what it cannot fill. Without a
/// branch of its own for that: the verifier would go both ways through all that follows, and of two ways that
/// meet again, one with a known zero, that of 6.1 keeps the zero alone, and takes out as dead what is done
/// with any other number.
#[inline(always)]
pub fn read_or_zero<T: Copy>(address: u64) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the value has the length that the helper is told, and the helper fills it whatever the
    // address; a number, which is what is read so, may be any bytes.
    unsafe {
        let _cleared_on_failure = helpers::generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
        value.assume_init()
    }
}

#[inline(always)]
fn read_at<T: Copy, const PLACE: u16>(address: u64, offset: Offset<PLACE>) -> T {
    read_or_zero(offset.of(address))
}

/// The address of an object as a plain number. A global function takes no typed pointer, and the
/// verifier lets no arithmetic turn one into a number; a copy of the pointer's own bytes is one.
#[inline(always)]
pub fn address_of(object: Object) -> u64 {
    let slot = object;
    read_or_zero((&raw const slot) as u64)
}

/// Arguments of a traced function.
#[derive(Clone, Copy)]
pub struct Arguments(pub *mut c_void);

impl Arguments {
    /// Argument number `index`, as the register held it.
    #[inline(always)]
    pub fn number(self, index: usize) -> u64 {
        // SAFETY: the context of a traced function is an array of its arguments, and the verifier
        // refuses an index past it.
        unsafe { *self.0.cast::<u64>().add(index) }
    }

    /// Argument number `index`, a pointer to a kernel object, as a plain number: what global
    /// functions take.
    #[inline(always)]
    pub fn address(self, index: usize) -> u64 {
        address_of(self.object(index))
    }

    /// Argument number `index`, a pointer of a type that the kernel's BTF only declares, which the
    /// verifier lets nobody read directly.
    #[inline(always)]
    pub fn untyped(self, index: u32) -> u64 {
        let mut value = 0u64;
        // SAFETY: the context is a traced function's, and the value has room for an argument. An
        // argument that there is not leaves the zero.
        let _absent =
            unsafe { helpers::generated::bpf_get_func_arg(self.0, index, &raw mut value) };
        value
    }

    /// Argument number `index`, a pointer to a kernel object.
    #[inline(always)]
    pub fn object(self, index: usize) -> Object {
        // SAFETY: as in `number`.
        unsafe { *self.0.cast::<Object>().add(index) }
    }
}

/// A task.
#[derive(Clone, Copy)]
pub struct Task(pub Object);

impl Task {
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: the helper takes nothing, and there is always a current task.
        Self(unsafe { helpers::generated::bpf_get_current_task_btf() }.cast_const().cast())
    }

    #[inline(always)]
    pub fn tgid(self) -> u32 {
        field(self.0, TASK_TGID)
    }

    #[inline(always)]
    pub fn tid(self) -> u32 {
        field(self.0, TASK_PID)
    }

    /// The leader of the thread group: where the mark is kept.
    #[inline(always)]
    pub fn leader(self) -> Self {
        Self(field(self.0, TASK_LEADER))
    }

    /// The cgroup in the default hierarchy.
    #[inline(always)]
    pub fn cgroup(self) -> Cgroup {
        let set: Object = field(self.0, TASK_CGROUPS);
        Cgroup(field(set, CSS_SET_CGROUP))
    }

    /// Inode number of the mount namespace.
    #[inline(always)]
    pub fn mount_namespace(self) -> u32 {
        TaskAddress(self.0 as u64).mount_namespace()
    }

    /// Address of the memory map.
    #[inline(always)]
    pub fn memory(self) -> u64 {
        TaskAddress(self.0 as u64).memory()
    }

    /// Address of the task's own credentials, which a borrowing kernel leaves alone.
    #[inline(always)]
    pub fn credentials(self) -> u64 {
        read_at(self.0 as u64, TASK_CRED)
    }

    /// Whether the task has an io_uring.
    #[inline(always)]
    pub fn uses_io_uring(self) -> bool {
        TASK_IO_URING.exists() && read_at::<u64, _>(self.0 as u64, TASK_IO_URING) != 0
    }

    /// The number of the system call that the current task is in, and whether it came through a
    /// 32-bit entry.
    #[inline(always)]
    pub fn system_call(self) -> (i32, bool) {
        // SAFETY: the verifier refuses anything but a task here.
        let registers =
            unsafe { helpers::generated::bpf_task_pt_regs(self.0.cast_mut().cast()) } as u64;
        let member = match (REGS_ORIG_AX.exists(), REGS_SYSCALLNO.exists()) {
            (true, _) => REGS_ORIG_AX.of(registers),
            (false, true) => REGS_SYSCALLNO.of(registers),
            (false, false) => return (-1, false),
        };
        let number = read::<i32>(member).unwrap_or(-1);
        (number, self.is_compat())
    }

    /// Whether the current system call came through a 32-bit entry.
    #[inline(always)]
    pub fn is_compat(self) -> bool {
        // arch/x86/include/asm/thread_info.h: TS_COMPAT; thread_info is the task's first member.
        THREAD_INFO_STATUS.exists() && read_at::<u32, _>(self.0 as u64, THREAD_INFO_STATUS) & 2 != 0
    }
}

/// The first argument of the system call with these registers.
#[inline(always)]
pub fn first_argument(registers: u64, compat: bool) -> u64 {
    let member = match (REGS_DI.exists(), compat) {
        (true, false) => REGS_DI.of(registers),
        (true, true) if REGS_BX.exists() => REGS_BX.of(registers),
        // Arm64 keeps them in an array.
        (false, _) if REGS_ARRAY.exists() => REGS_ARRAY.of(registers),
        _ => return u64::from(u32::MAX),
    };
    read(member).unwrap_or(u64::MAX)
}

/// A task by its bare address, read by copying: where the verifier knows no type.
#[derive(Clone, Copy)]
pub struct TaskAddress(pub u64);

impl TaskAddress {
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        read_at(self.0, TASK_TGID)
    }

    #[inline(always)]
    pub fn tid(self) -> u32 {
        read_at(self.0, TASK_PID)
    }

    #[inline(always)]
    pub fn flags(self) -> u32 {
        read_at(self.0, TASK_FLAGS)
    }

    #[inline(always)]
    pub fn start_time(self) -> u64 {
        read_at(self.0, TASK_START)
    }

    #[inline(always)]
    pub fn leader(self) -> Self {
        Self(read_at(self.0, TASK_LEADER))
    }

    #[inline(always)]
    pub fn parent(self) -> Self {
        Self(read_at(self.0, TASK_PARENT))
    }

    /// Inode number of the mount namespace.
    #[inline(always)]
    pub fn mount_namespace(self) -> u32 {
        let nsproxy: u64 = read_at(self.0, TASK_NSPROXY);
        let namespace: u64 = read_at(nsproxy, NSPROXY_MNT);
        namespace_number(namespace, MNT_NS_COMMON)
    }

    /// Numbers of its namespaces: mount, network, pid, IPC, UTS, cgroup and user.
    #[inline(always)]
    pub fn namespaces(self) -> [u32; 7] {
        let nsproxy: u64 = read_at(self.0, TASK_NSPROXY);
        [
            namespace_number(read_at(nsproxy, NSPROXY_MNT), MNT_NS_COMMON),
            namespace_number(read_at(nsproxy, NSPROXY_NET), NET_NS_COMMON),
            namespace_number(read_at(nsproxy, NSPROXY_PID), PID_NS_COMMON),
            namespace_number(read_at(nsproxy, NSPROXY_IPC), IPC_NS_COMMON),
            namespace_number(read_at(nsproxy, NSPROXY_UTS), UTS_NS_COMMON),
            namespace_number(read_at(nsproxy, NSPROXY_CGROUP), CGROUP_NS_COMMON),
            namespace_number(read_at(self.credentials(), CRED_USER_NS), USER_NS_COMMON),
        ]
    }

    /// Address of the cgroup in the default hierarchy.
    #[inline(always)]
    pub fn cgroup(self) -> u64 {
        let set: u64 = read_at(self.0, TASK_CGROUPS);
        read_at(set, CSS_SET_CGROUP)
    }

    /// Address of the credentials.
    #[inline(always)]
    pub fn credentials(self) -> u64 {
        read_at(self.0, TASK_CRED)
    }

    /// Address of the memory map, 0 for kernel threads.
    #[inline(always)]
    pub fn memory(self) -> u64 {
        read_at(self.0, TASK_MM)
    }

    /// Address of the executable's `struct file`, 0 for kernel threads.
    #[inline(always)]
    pub fn executable(self) -> u64 {
        let memory = self.memory();
        if memory == 0 { 0 } else { read_at(memory, MM_EXE) }
    }

    /// Address of the name.
    #[inline(always)]
    pub fn name(self) -> u64 {
        TASK_COMM.of(self.0)
    }
}

/// Number of the namespace at `address`, whose common part is at `common`; 0 where the kernel was built
/// without such namespaces.
#[inline(always)]
fn namespace_number<const PLACE: u16>(address: u64, common: Offset<PLACE>) -> u32 {
    if common.exists() { read_at(common.of(address), NS_COMMON_INUM) } else { 0 }
}

/// Effective user id, group id, capabilities and the user namespace's inode number.
#[inline(always)]
pub fn credentials(address: u64) -> (u32, u32, u64, u32) {
    let namespace: u64 = read_at(address, CRED_USER_NS);
    (
        read_at(address, CRED_EUID),
        read_at(address, CRED_EGID),
        read_at(address, CRED_CAP_EFFECTIVE),
        namespace_number(namespace, USER_NS_COMMON),
    )
}

/// What the credentials at `address` hold.
#[inline(always)]
pub fn held_by(address: u64) -> Credentials {
    Credentials {
        address,
        effective: read_at(address, CRED_CAP_EFFECTIVE),
        bounding: read_at(address, CRED_CAP_BSET),
    }
}

/// How deep a user namespace is; 0 is the initial one.
#[inline(always)]
pub fn user_namespace_level(namespace: Object) -> u32 {
    field(namespace, USER_NS_LEVEL)
}

/// A cgroup.
#[derive(Clone, Copy, PartialEq)]
pub struct Cgroup(pub Object);

impl Cgroup {
    #[inline(always)]
    pub fn id(self) -> u64 {
        let node: Object = field(self.0, CGROUP_KN);
        field(node, KN_ID)
    }

    /// The id, by copying: for cgroups whose pointer the verifier does not follow.
    #[inline(always)]
    pub fn id_copied(address: u64) -> u64 {
        read_at(read_at(address, CGROUP_KN), KN_ID)
    }

    /// Whether it is in the default (v2) hierarchy: ids of others are numbers of other worlds.
    #[inline(always)]
    pub fn is_default_hierarchy(self) -> bool {
        let root: u64 = read_at(self.0 as u64, CGROUP_ROOT);
        root != 0 && read_at::<u32, _>(root, CGROUP_ROOT_HIERARCHY) == 0
    }

    /// Address of the parent cgroup of the cgroup at `address`, 0 at the root.
    #[inline(always)]
    pub fn parent_of(address: u64) -> u64 {
        let css = CGROUP_SELF.of(address);
        let parent: u64 = read_at(css, CSS_PARENT);
        if parent == 0 { 0 } else { read_at(parent, CSS_CGROUP) }
    }

    /// Address of the name.
    #[inline(always)]
    pub fn name_address(self) -> u64 {
        read_at(read_at(self.0 as u64, CGROUP_KN), KN_NAME)
    }
}

/// Whether a dentry of an overlay file system is in the upper layer: the flag that overlayfs keeps
/// in the dentry's private word (OVL_E_UPPER_ALIAS), or, up to 6.4, behind it.
#[inline(always)]
pub fn in_upper_layer(dentry: u64) -> bool {
    let word: u64 = read_at(dentry, DENTRY_PRIVATE);
    let flags = if word < 4096 { word } else { read_or_zero(word) };
    flags & 1 != 0
}

/// Number of the mount namespace in which a task's working directory lies, 0 for one in none.
#[inline(always)]
pub fn directory_namespace(task: u64) -> u32 {
    let fs: u64 = read_at(task, TASK_FS);
    mount_namespace_of(path_mount(FS_DIRECTORY.of(fs)))
}

/// Flags of a `struct vm_area_struct`.
#[inline(always)]
pub fn memory_flags(area: u64) -> u64 {
    if VMA_FLAGS.exists() { read_at(area, VMA_FLAGS) } else { 0 }
}

/// Real, effective and saved user id.
#[inline(always)]
pub fn user_ids(credentials: u64) -> [u32; 3] {
    [
        read_at(credentials, CRED_UID),
        read_at(credentials, CRED_EUID),
        read_at(credentials, CRED_SUID),
    ]
}

/// Whether a mount context's file system takes its options the old way, and how deep the user
/// namespace is that asks.
#[inline(always)]
pub fn mount_context(context: u64) -> (bool, u32) {
    let kind: u64 = read_at(context, FS_CONTEXT_TYPE);
    let namespace: u64 = read_at(context, FS_CONTEXT_USER_NS);
    let new_style: u64 = read_at(kind, FS_TYPE_INIT);
    (kind != 0 && new_style == 0, read_at(namespace, USER_NS_LEVEL))
}

/// Address of a `struct qstr`'s text.
#[inline(always)]
pub fn text_of(name: u64) -> u64 {
    read_at(name, QSTR_NAME)
}

/// The last eight bytes of a string of fewer than 256 bytes; 0 for a shorter one than eight.
#[inline(always)]
pub fn string_tail(address: u64) -> u64 {
    let mut text = [0u8; 256];
    // SAFETY: the buffer has the length that the helper is told; it checks the address itself.
    let length = unsafe {
        helpers::generated::bpf_probe_read_kernel_str(
            text.as_mut_ptr().cast(),
            256,
            address as *const c_void,
        )
    };
    // The length counts the zero at the end.
    match u64::try_from(length) {
        Ok(length) if length > 8 => read_or_zero(address + length - 9),
        _ => 0,
    }
}

/// Copies a string, zero-filled; the buffer's last byte is always zero.
#[inline(always)]
pub fn read_string<const N: usize>(address: u64) -> [u8; N] {
    let mut text = [0u8; N];
    if address != 0 {
        // A failed copy leaves the zeroes: an unreadable name is no name.
        // SAFETY: the buffer has the length that the helper is told; it checks the address itself.
        let _length = unsafe {
            helpers::generated::bpf_probe_read_kernel_str(
                text.as_mut_ptr().cast(),
                N as u32,
                address as *const c_void,
            )
        };
    }
    text
}
