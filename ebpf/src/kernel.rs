//! Reading kernel objects.
//!
//! Two ways: `field` is a direct load that the verifier checks against the kernel's BTF, for
//! pointers that it follows and where speed counts; `read` copies by helper, for the rest. Both
//! read zero from a bad address instead of faulting.

use core::{ffi::c_void, ptr};

use aya_ebpf::{Global, helpers};
use bulkhead_guard::capabilities::Credentials;

macro_rules! statics {
    ($($symbol:ident: $structure:literal, $member:literal, $need:ident;)+) => {
        $(
            #[doc = concat!("Offset of `", $structure, ".", $member, "`, set before loading.")]
            #[unsafe(no_mangle)]
            static $symbol: Global<u32> = Global::new(bulkhead_abi::ABSENT);
        )+
    };
}
bulkhead_abi::kernel_offsets!(statics);

/// A kernel object that the verifier knows by type.
pub type Object = *const c_void;

/// Loads a member of a typed object.
#[inline(always)]
fn field<T: Copy>(object: Object, offset: &Global<u32>) -> T {
    // SAFETY: the verifier refuses the program unless `object` is a kernel object whose type it
    // knows and `offset` is that of a member of this size; a bad address reads as zero.
    unsafe { ptr::read_volatile(object.byte_add(offset.load() as usize).cast()) }
}

/// Copies a value from kernel memory; all zero where that fails.
#[inline(always)]
pub fn read<T: Copy>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address itself and fails on a bad one.
    unsafe { helpers::bpf_probe_read_kernel(address as *const T).ok() }
}

#[inline(always)]
fn read_at<T: Copy + Default>(address: u64, offset: &Global<u32>) -> T {
    read(address.wrapping_add(u64::from(offset.load()))).unwrap_or_default()
}

/// The address of an object as a plain number. A global function takes no typed pointer, and the
/// verifier lets no arithmetic turn one into a number; a copy of the pointer's own bytes is one.
#[inline(always)]
pub fn address_of(object: Object) -> u64 {
    let slot = object;
    read((&raw const slot) as u64).unwrap_or_default()
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
        field(self.0, &TASK_TGID)
    }

    #[inline(always)]
    pub fn tid(self) -> u32 {
        field(self.0, &TASK_PID)
    }

    /// The leader of the thread group: where the mark is kept.
    #[inline(always)]
    pub fn leader(self) -> Self {
        Self(field(self.0, &TASK_LEADER))
    }

    /// The cgroup in the default hierarchy.
    #[inline(always)]
    pub fn cgroup(self) -> Cgroup {
        let set: Object = field(self.0, &TASK_CGROUPS);
        Cgroup(field(set, &CSS_SET_CGROUP))
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
        read_at(self.0 as u64, &TASK_CRED)
    }

    /// Whether the task has an io_uring.
    #[inline(always)]
    pub fn uses_io_uring(self) -> bool {
        TASK_IO_URING.load() != bulkhead_abi::ABSENT
            && read_at::<u64>(self.0 as u64, &TASK_IO_URING) != 0
    }

    /// The number of the system call that the current task is in, and whether it came through a
    /// 32-bit entry.
    #[inline(always)]
    pub fn system_call(self) -> (i32, bool) {
        // SAFETY: the verifier refuses anything but a task here.
        let registers =
            unsafe { helpers::generated::bpf_task_pt_regs(self.0.cast_mut().cast()) } as u64;
        let offset = if REGS_ORIG_AX.load() != bulkhead_abi::ABSENT {
            REGS_ORIG_AX.load()
        } else {
            REGS_SYSCALLNO.load()
        };
        if offset == bulkhead_abi::ABSENT {
            return (-1, false);
        }
        let number = read::<i32>(registers + u64::from(offset)).unwrap_or(-1);
        (number, self.is_compat())
    }

    /// Whether the current system call came through a 32-bit entry.
    #[inline(always)]
    pub fn is_compat(self) -> bool {
        // arch/x86/include/asm/thread_info.h: TS_COMPAT; thread_info is the task's first member.
        THREAD_INFO_STATUS.load() != bulkhead_abi::ABSENT
            && read_at::<u32>(self.0 as u64, &THREAD_INFO_STATUS) & 2 != 0
    }
}

/// The first argument of the system call with these registers.
#[inline(always)]
pub fn first_argument(registers: u64, compat: bool) -> u64 {
    let offset = match (REGS_DI.load() != bulkhead_abi::ABSENT, compat) {
        (true, false) => REGS_DI.load(),
        (true, true) => REGS_BX.load(),
        // Arm64 keeps them in an array.
        (false, _) => REGS_ARRAY.load(),
    };
    if offset == bulkhead_abi::ABSENT {
        return u64::from(u32::MAX);
    }
    read(registers + u64::from(offset)).unwrap_or(u64::MAX)
}

/// A task by its bare address, read by copying: where the verifier knows no type.
#[derive(Clone, Copy)]
pub struct TaskAddress(pub u64);

impl TaskAddress {
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        read_at(self.0, &TASK_TGID)
    }

    #[inline(always)]
    pub fn tid(self) -> u32 {
        read_at(self.0, &TASK_PID)
    }

    #[inline(always)]
    pub fn flags(self) -> u32 {
        read_at(self.0, &TASK_FLAGS)
    }

    #[inline(always)]
    pub fn start_time(self) -> u64 {
        read_at(self.0, &TASK_START)
    }

    #[inline(always)]
    pub fn leader(self) -> Self {
        Self(read_at(self.0, &TASK_LEADER))
    }

    #[inline(always)]
    pub fn parent(self) -> Self {
        Self(read_at(self.0, &TASK_PARENT))
    }

    /// Inode number of the mount namespace.
    #[inline(always)]
    pub fn mount_namespace(self) -> u32 {
        let nsproxy: u64 = read_at(self.0, &TASK_NSPROXY);
        let namespace: u64 = read_at(nsproxy, &NSPROXY_MNT);
        read_at(namespace.wrapping_add(u64::from(MNT_NS_COMMON.load())), &NS_COMMON_INUM)
    }

    /// Address of the credentials.
    #[inline(always)]
    pub fn credentials(self) -> u64 {
        read_at(self.0, &TASK_CRED)
    }

    /// Address of the memory map, 0 for kernel threads.
    #[inline(always)]
    pub fn memory(self) -> u64 {
        read_at(self.0, &TASK_MM)
    }

    /// Address of the executable's `struct file`, 0 for kernel threads.
    #[inline(always)]
    pub fn executable(self) -> u64 {
        let memory = self.memory();
        if memory == 0 { 0 } else { read_at(memory, &MM_EXE) }
    }

    /// Address of the name.
    #[inline(always)]
    pub fn name(self) -> u64 {
        self.0.wrapping_add(u64::from(TASK_COMM.load()))
    }
}

/// Effective user id, group id, capabilities and the user namespace's inode number.
#[inline(always)]
pub fn credentials(address: u64) -> (u32, u32, u64, u32) {
    let namespace: u64 = read_at(address, &CRED_USER_NS);
    (
        read_at(address, &CRED_EUID),
        read_at(address, &CRED_EGID),
        read_at(address, &CRED_CAP_EFFECTIVE),
        read_at(namespace.wrapping_add(u64::from(USER_NS_COMMON.load())), &NS_COMMON_INUM),
    )
}

/// What the credentials at `address` hold.
#[inline(always)]
pub fn held_by(address: u64) -> Credentials {
    Credentials {
        address,
        effective: read_at(address, &CRED_CAP_EFFECTIVE),
        bounding: read_at(address, &CRED_CAP_BSET),
    }
}

/// How deep a user namespace is; 0 is the initial one.
#[inline(always)]
pub fn user_namespace_level(namespace: Object) -> u32 {
    field(namespace, &USER_NS_LEVEL)
}

/// A cgroup.
#[derive(Clone, Copy, PartialEq)]
pub struct Cgroup(pub Object);

impl Cgroup {
    #[inline(always)]
    pub fn id(self) -> u64 {
        let node: Object = field(self.0, &CGROUP_KN);
        field(node, &KN_ID)
    }

    /// The id, by copying: for cgroups whose pointer the verifier does not follow.
    #[inline(always)]
    pub fn id_copied(address: u64) -> u64 {
        read_at(read_at(address, &CGROUP_KN), &KN_ID)
    }

    /// Whether it is in the default (v2) hierarchy: ids of others are numbers of other worlds.
    #[inline(always)]
    pub fn is_default_hierarchy(self) -> bool {
        let root: u64 = read_at(self.0 as u64, &CGROUP_ROOT);
        root != 0 && read_at::<u32>(root, &CGROUP_ROOT_HIERARCHY) == 0
    }

    /// Address of the parent cgroup of the cgroup at `address`, 0 at the root.
    #[inline(always)]
    pub fn parent_of(address: u64) -> u64 {
        let css = address.wrapping_add(u64::from(CGROUP_SELF.load()));
        let parent: u64 = read_at(css, &CSS_PARENT);
        if parent == 0 { 0 } else { read_at(parent, &CSS_CGROUP) }
    }

    /// Address of the name.
    #[inline(always)]
    pub fn name_address(self) -> u64 {
        read_at(read_at(self.0 as u64, &CGROUP_KN), &KN_NAME)
    }
}

/// A `struct file` that is being opened or passed.
#[derive(Clone, Copy)]
pub struct OpenFile(pub Object);

impl OpenFile {
    #[inline(always)]
    pub fn inode(self) -> Inode {
        Inode(field(self.0, &FILE_INODE))
    }

    #[inline(always)]
    pub fn mode(self) -> u32 {
        field(self.0, &FILE_MODE)
    }

    #[inline(always)]
    pub fn flags(self) -> u32 {
        field(self.0, &FILE_FLAGS)
    }

    /// Address of the dentry.
    #[inline(always)]
    pub fn dentry(self) -> u64 {
        file_dentry(self.0 as u64)
    }
}

/// Address of the dentry of the file at `address`.
#[inline(always)]
pub fn file_dentry(address: u64) -> u64 {
    path_dentry(address.wrapping_add(u64::from(FILE_PATH.load())))
}

/// Address of the inode of the file at `address`.
#[inline(always)]
pub fn file_inode(address: u64) -> u64 {
    read_at(address, &FILE_INODE)
}

/// Address of the dentry of the `struct path` at `address`.
#[inline(always)]
pub fn path_dentry(address: u64) -> u64 {
    read_at(address, &PATH_DENTRY)
}

/// An inode that the verifier knows.
#[derive(Clone, Copy)]
pub struct Inode(pub Object);

impl Inode {
    #[inline(always)]
    pub fn mode(self) -> u32 {
        u32::from(field::<u16>(self.0, &INODE_MODE))
    }

    #[inline(always)]
    pub fn device_number(self) -> u32 {
        field(self.0, &INODE_RDEV)
    }

    #[inline(always)]
    pub fn magic(self) -> u64 {
        let superblock: Object = field(self.0, &INODE_SB);
        field(superblock, &SB_MAGIC)
    }
}

/// What a record says of an inode: number, device, magic, mode, device number.
#[inline(always)]
pub fn inode_facts(inode: u64) -> (u64, u32, u64, u32, u32) {
    let superblock: u64 = read_at(inode, &INODE_SB);
    (
        read_at(inode, &INODE_INO),
        read_at(superblock, &SB_DEV),
        read_at(superblock, &SB_MAGIC),
        u32::from(read_at::<u16>(inode, &INODE_MODE)),
        read_at(inode, &INODE_RDEV),
    )
}

/// The number of the inode at `address`.
#[inline(always)]
pub fn inode_number(address: u64) -> u64 {
    read_at(address, &INODE_INO)
}

/// Links to the inode at `address`.
#[inline(always)]
pub fn inode_links(address: u64) -> u32 {
    read_at(address, &INODE_NLINK)
}

/// Address of a dentry's inode.
#[inline(always)]
pub fn dentry_inode(dentry: u64) -> u64 {
    read_at(dentry, &DENTRY_INODE)
}

/// Address of a dentry's parent; a root is its own.
#[inline(always)]
pub fn dentry_parent(dentry: u64) -> u64 {
    read_at(dentry, &DENTRY_PARENT)
}

/// Length and address of a dentry's own name.
#[inline(always)]
pub fn dentry_name(dentry: u64) -> (u32, u64) {
    let name = dentry.wrapping_add(u64::from(DENTRY_NAME.load()));
    (read_at(name, &QSTR_LEN), read_at(name, &QSTR_NAME))
}

/// A superblock, by address: magic, whether on a block device, device, address of its type's name
/// and of its root dentry.
#[derive(Clone, Copy)]
pub struct Superblock {
    pub magic: u64,
    pub on_block_device: bool,
    pub device: u32,
    pub type_name: u64,
    pub root: u64,
}

impl Superblock {
    #[inline(always)]
    pub fn at(address: u64) -> Self {
        Self {
            magic: read_at(address, &SB_MAGIC),
            on_block_device: read_at::<u64>(address, &SB_BDEV) != 0,
            device: read_at(address, &SB_DEV),
            type_name: read_at(read_at(address, &SB_TYPE), &FS_TYPE_NAME),
            root: read_at(address, &SB_ROOT),
        }
    }
}

/// Addresses of the superblock and of the root dentry of a mount.
#[inline(always)]
pub fn mount_parts(mount: u64) -> (u64, u64) {
    (read_at(mount, &VFSMOUNT_SB), read_at(mount, &VFSMOUNT_ROOT))
}

/// Address of the file that an exec is about.
#[inline(always)]
pub fn program_file(bprm: u64) -> u64 {
    read_at(bprm, &BPRM_FILE)
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
        Ok(length) if length > 8 => read(address + length - 9).unwrap_or_default(),
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
