//! Where the kernel side finds its fields.
//!
//! Rust has no CO-RE relocations for BPF. The object's instructions have a [place](place_of) where an
//! offset is to be; the agent looks each member up in the running kernel's BTF and writes its offset
//! there before it loads the programs. What runs is a load at a known offset of a known type, as if
//! it had been compiled for this kernel.

/// The value of an offset that the running kernel does not have.
pub const ABSENT: i32 = -1;

/// `rN = PLACE_IMMEDIATE + place` becomes `rN = offset`. A number that the sources do not use.
pub const PLACE_IMMEDIATE: i32 = 0x6b68_0000;

/// `rN = *(u64 *)(rM + PLACE_LOAD + place)` becomes a load at the offset. No value of ours is that
/// large.
pub const PLACE_LOAD: i16 = 0x6000;

/// One offset of the kernel side and the member that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// What the kernel side calls it.
    pub symbol: &'static str,
    /// The kernel's struct.
    pub structure: &'static str,
    /// Its member; members of anonymous structs and unions count as the outer struct's.
    pub member: &'static str,
    /// Whether the kernel side can do without it.
    pub optional: bool,
}

/// Calls a macro with every offset, so that one list serves both sides.
#[macro_export]
macro_rules! kernel_offsets {
    ($callback:ident) => {
        $callback! {
            TASK_CGROUPS: "task_struct", "cgroups", required;
            TASK_PID: "task_struct", "pid", required;
            TASK_TGID: "task_struct", "tgid", required;
            TASK_FLAGS: "task_struct", "flags", required;
            TASK_LEADER: "task_struct", "group_leader", required;
            TASK_PARENT: "task_struct", "real_parent", required;
            TASK_START: "task_struct", "start_boottime", required;
            TASK_CRED: "task_struct", "real_cred", required;
            TASK_COMM: "task_struct", "comm", required;
            TASK_MM: "task_struct", "mm", required;
            TASK_NSPROXY: "task_struct", "nsproxy", required;
            TASK_IO_URING: "task_struct", "io_uring", optional;
            THREAD_INFO_STATUS: "thread_info", "status", optional;
            REGS_ORIG_AX: "pt_regs", "orig_ax", optional;
            REGS_DI: "pt_regs", "di", optional;
            REGS_BX: "pt_regs", "bx", optional;
            REGS_ARRAY: "pt_regs", "regs", optional;
            REGS_SYSCALLNO: "pt_regs", "syscallno", optional;
            NSPROXY_MNT: "nsproxy", "mnt_ns", required;
            MNT_NS_COMMON: "mnt_namespace", "ns", required;
            NS_COMMON_INUM: "ns_common", "inum", required;
            USER_NS_COMMON: "user_namespace", "ns", required;
            USER_NS_LEVEL: "user_namespace", "level", required;
            CRED_EUID: "cred", "euid", required;
            CRED_EGID: "cred", "egid", required;
            CRED_CAP_EFFECTIVE: "cred", "cap_effective", required;
            CRED_CAP_BSET: "cred", "cap_bset", required;
            CRED_USER_NS: "cred", "user_ns", required;
            CSS_SET_CGROUP: "css_set", "dfl_cgrp", required;
            CGROUP_SELF: "cgroup", "self", required;
            CGROUP_KN: "cgroup", "kn", required;
            CGROUP_ROOT: "cgroup", "root", required;
            CGROUP_ROOT_HIERARCHY: "cgroup_root", "hierarchy_id", required;
            CSS_PARENT: "cgroup_subsys_state", "parent", required;
            CSS_CGROUP: "cgroup_subsys_state", "cgroup", required;
            KN_ID: "kernfs_node", "id", required;
            KN_NAME: "kernfs_node", "name", required;
            MM_EXE: "mm_struct", "exe_file", required;
            MM_ARG_START: "mm_struct", "arg_start", required;
            MM_ARG_END: "mm_struct", "arg_end", required;
            FILE_MODE: "file", "f_mode", required;
            FILE_FLAGS: "file", "f_flags", required;
            FILE_INODE: "file", "f_inode", required;
            FILE_PATH: "file", "f_path", required;
            PATH_DENTRY: "path", "dentry", required;
            DENTRY_PARENT: "dentry", "d_parent", required;
            DENTRY_NAME: "dentry", "d_name", required;
            DENTRY_INODE: "dentry", "d_inode", required;
            DENTRY_SB: "dentry", "d_sb", required;
            QSTR_LEN: "qstr", "len", required;
            QSTR_NAME: "qstr", "name", required;
            INODE_MODE: "inode", "i_mode", required;
            INODE_SB: "inode", "i_sb", required;
            INODE_INO: "inode", "i_ino", required;
            INODE_NLINK: "inode", "i_nlink", required;
            INODE_RDEV: "inode", "i_rdev", required;
            INODE_BLOCKS: "inode", "i_blocks", required;
            SB_MAGIC: "super_block", "s_magic", required;
            SB_DEV: "super_block", "s_dev", required;
            SB_BDEV: "super_block", "s_bdev", required;
            SB_ROOT: "super_block", "s_root", required;
            SB_TYPE: "super_block", "s_type", required;
            FS_TYPE_NAME: "file_system_type", "name", required;
            BPRM_FILE: "linux_binprm", "file", required;
            FILE_PRIVATE: "file", "private_data", required;
            PATH_MOUNT: "path", "mnt", required;
            MOUNT_SELF: "mount", "mnt", required;
            MOUNT_NAMESPACE: "mount", "mnt_ns", required;
            NSPROXY_UTS: "nsproxy", "uts_ns", required;
            NSPROXY_IPC: "nsproxy", "ipc_ns", required;
            NSPROXY_PID: "nsproxy", "pid_ns_for_children", required;
            NSPROXY_NET: "nsproxy", "net_ns", required;
            NSPROXY_CGROUP: "nsproxy", "cgroup_ns", required;
            UTS_NS_COMMON: "uts_namespace", "ns", required;
            IPC_NS_COMMON: "ipc_namespace", "ns", optional;
            PID_NS_COMMON: "pid_namespace", "ns", required;
            NET_NS_COMMON: "net", "ns", required;
            CGROUP_NS_COMMON: "cgroup_namespace", "ns", required;
            SOCKET_SK: "socket", "sk", required;
            SOCK_CGROUP: "sock", "sk_cgrp_data", required;
            SOCK_PEER_PID: "sock", "sk_peer_pid", required;
            SOCK_COMMON: "sock", "__sk_common", required;
            SOCK_FAMILY: "sock_common", "skc_family", required;
            UNIX_PATH: "unix_sock", "path", optional;
            UNIX_ADDRESS: "unix_sock", "addr", optional;
            UNIX_NAME: "unix_address", "name", optional;
            PID_TASKS: "pid", "tasks", required;
            TASK_PID_LINKS: "task_struct", "pid_links", required;
            PROC_INODE_PID: "proc_inode", "pid", required;
            PROC_INODE_SELF: "proc_inode", "vfs_inode", required;
            TASK_FS: "task_struct", "fs", required;
            FS_DIRECTORY: "fs_struct", "pwd", required;
            DENTRY_PRIVATE: "dentry", "d_fsdata", required;
            TASK_FILES: "task_struct", "files", required;
            FILES_TABLE: "files_struct", "fdt", required;
            TABLE_FILES: "fdtable", "fd", required;
            VMA_FLAGS: "vm_area_struct", "vm_flags", optional;
            CRED_UID: "cred", "uid", required;
            CRED_SUID: "cred", "suid", required;
            FS_CONTEXT_TYPE: "fs_context", "fs_type", required;
            FS_CONTEXT_USER_NS: "fs_context", "user_ns", required;
            FS_TYPE_INIT: "file_system_type", "init_fs_context", required;
            VFSMOUNT_SB: "vfsmount", "mnt_sb", required;
        }
    };
}

macro_rules! table {
    ($($symbol:ident: $structure:literal, $member:literal, $need:ident;)+) => {
        /// Every offset that the kernel side reads.
        pub const OFFSETS: &[Offset] = &[$(Offset {
            symbol: stringify!($symbol),
            structure: $structure,
            member: $member,
            optional: table!(@ $need),
        },)+];
    };
    (@ required) => { false };
    (@ optional) => { true };
}
kernel_offsets!(table);

/// The place of an offset: its number in [`OFFSETS`]. For the compiler, which stops where there is no
/// such offset.
pub const fn place_of(symbol: &str) -> u16 {
    let (mut rest, mut place) = (OFFSETS, 0);
    while let [offset, others @ ..] = rest {
        if are_same(offset.symbol.as_bytes(), symbol.as_bytes()) {
            return place;
        }
        (rest, place) = (others, place + 1);
    }
    assert!(!rest.is_empty(), "there is no such offset");
    place
}

const fn are_same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([first, rest @ ..], [its_first, its_rest @ ..]) = (one, other) {
        if *first != *its_first {
            return false;
        }
        (one, other) = (rest, its_rest);
    }
    one.is_empty() && other.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_s_place_is_its_number() {
        for (number, offset) in OFFSETS.iter().enumerate() {
            assert_eq!(usize::from(place_of(offset.symbol)), number);
        }
    }

    #[test]
    #[should_panic(expected = "no such offset")]
    fn what_is_no_offset_has_no_place() {
        place_of("TASK_CGROUP");
    }
}
