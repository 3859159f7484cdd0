//! Which opened files are worth a look at all.

use bulkhead_abi::Rule;

use crate::descriptors::NSFS_MAGIC;
use crate::mounts::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC};

// linux/magic.h
const BINFMTFS_MAGIC: u64 = 0x4249_4e4d;
const DEBUGFS_MAGIC: u64 = 0x6462_6720;
const TRACEFS_MAGIC: u64 = 0x7472_6163;
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
/// linux/magic.h
pub const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;
const EXT4_SUPER_MAGIC: u64 = 0xef53;
/// linux/magic.h
pub const TMPFS_MAGIC: u64 = 0x0102_1994;
const XFS_SUPER_MAGIC: u64 = 0x5846_5342;
const BTRFS_SUPER_MAGIC: u64 = 0x9123_683e;

// uapi/linux/stat.h
const S_IFMT: u32 = 0o170000;
const S_IFCHR: u32 = 0o020000;
const S_IFBLK: u32 = 0o060000;

/// linux/fs.h: FMODE_WRITE.
pub const FMODE_WRITE: u32 = 2;

/// What an opened file is, from its inode and superblock alone. This runs at every open of every
/// process on the node, before anything is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing that a rule is about.
    Ordinary,
    /// A file of a kernel file system: its name decides.
    KernelFile,
    /// A device node: its device number decides.
    Device,
    /// A file of cgroup v2: whose cgroup it belongs to decides.
    CgroupFile,
    /// A namespace: whose it is decides.
    Namespace,
}

/// Whether a file system is one of those that hold nearly all files. Others that are no kernel's are
/// ordinary too: [`classify`] sees that, a little later.
#[inline(always)]
pub const fn is_frequent(magic: u64) -> bool {
    matches!(
        magic,
        OVERLAYFS_SUPER_MAGIC
            | EXT4_SUPER_MAGIC
            | TMPFS_MAGIC
            | XFS_SUPER_MAGIC
            | BTRFS_SUPER_MAGIC
    )
}

/// See [`Class`].
#[inline(always)]
pub const fn classify(mode: u32, magic: u64) -> Class {
    if matches!(mode & S_IFMT, S_IFCHR | S_IFBLK) {
        return Class::Device;
    }
    match magic {
        PROC_SUPER_MAGIC | SYSFS_MAGIC | CGROUP_SUPER_MAGIC | BINFMTFS_MAGIC | DEBUGFS_MAGIC
        | TRACEFS_MAGIC | BPF_FS_MAGIC => Class::KernelFile,
        CGROUP2_SUPER_MAGIC => Class::CgroupFile,
        NSFS_MAGIC => Class::Namespace,
        _ => Class::Ordinary,
    }
}

/// Whether a superblock with this magic number is a BPF file system's.
#[inline(always)]
pub const fn is_bpf_filesystem(magic: u64) -> bool {
    magic == BPF_FS_MAGIC
}

/// The rule for opening a device node. `device` is in the kernel's encoding: the minor number in
/// the low 20 bits, the major number above.
#[inline(always)]
pub const fn of_device(mode: u32, device: u32) -> Option<Rule> {
    if mode & S_IFMT == S_IFBLK {
        return Some(Rule::BlockDevice);
    }
    match (device >> 20, device & 0xf_ffff) {
        // /dev/mem, /dev/kmem, /dev/port; /dev/kvm; MSR; CPUID (admin-guide/devices.txt)
        (1, 1 | 2 | 4) | (10, 232) | (202, _) | (203, _) => Some(Rule::KernelMemory),
        // uinput, loop-control, VFIO, FUSE, device mapper, vhost-net
        (10, 223 | 237 | 196 | 229 | 236 | 238) => Some(Rule::HostDevice),
        // /dev/kmsg
        (1, 11) => Some(Rule::KernelDiscovery),
        _ => None,
    }
}

/// The rule for opening a file of procfs that tells about a process of somebody else: setting what
/// the file sets (oom_score_adj), or reading what everybody may.
#[inline(always)]
pub const fn of_process_file(file_mode: u32) -> Rule {
    if file_mode & FMODE_WRITE != 0 { Rule::ProcessPriority } else { Rule::ProcessList }
}

/// Whether the kernel itself asks who may look at a process before it opens this file of /proc/PID:
/// what its owner alone may read (`environ`, `mem`, `auxv`). ptrace_access_check judges it then, and
/// knows more of it.
#[inline(always)]
pub const fn is_private(mode: u32) -> bool {
    // sys/stat.h: S_IRUSR, S_IROTH
    mode & 0o400 != 0 && mode & 0o004 == 0
}

/// Which openings of a sensitive file count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Access {
    /// For writing only.
    Write = 1,
    /// Any.
    Any = 2,
}

/// A sensitive file's rule and the access that counts, as one map value.
#[inline(always)]
pub const fn pack(rule: Rule, access: Access) -> u32 {
    (rule as u32) | ((access as u32) << 16)
}

/// The rule of a packed value, if an opening with `file_mode` counts.
#[inline(always)]
pub const fn unpack(value: u32, file_mode: u32) -> Option<Rule> {
    let any = value >> 16 == Access::Any as u32;
    if any || file_mode & FMODE_WRITE != 0 { Rule::from_u16(value as u16) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV_MEM: u32 = (1 << 20) | 1;

    #[test]
    fn ordinary_files_end_at_the_first_look() {
        for magic in [OVERLAYFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, TMPFS_MAGIC, 0x6969] {
            assert_eq!(classify(0o100644, magic), Class::Ordinary);
        }
    }

    #[test]
    fn kernel_files_and_devices_are_looked_at() {
        assert_eq!(classify(0o100644, PROC_SUPER_MAGIC), Class::KernelFile);
        assert_eq!(classify(0o100200, BPF_FS_MAGIC), Class::KernelFile);
        assert_eq!(classify(S_IFCHR | 0o600, TMPFS_MAGIC), Class::Device);
        assert_eq!(classify(S_IFBLK | 0o600, EXT4_SUPER_MAGIC), Class::Device);
    }

    #[test]
    fn a_namespace_and_a_neighbour_s_process_file_have_their_rules() {
        assert_eq!(classify(0o100444, NSFS_MAGIC), Class::Namespace);
        assert_eq!(of_process_file(1), Rule::ProcessList);
        // environ and mem; cmdline, maps and oom_score_adj; clear_refs, which nobody may read.
        assert!(is_private(0o100_400) && is_private(0o100_600));
        assert!(![0o100_444, 0o100_644, 0o100_200].map(is_private).contains(&true));
        assert_eq!(of_process_file(FMODE_WRITE), Rule::ProcessPriority);
    }

    #[test]
    fn devices_of_ordinary_programs_meet_no_rule() {
        for minor in [3, 5, 7, 8, 9] {
            assert_eq!(of_device(S_IFCHR, (1 << 20) | minor), None, "1:{minor}");
        }
        assert_eq!(of_device(S_IFCHR, (10 << 20) | 200), None, "tun, for VPNs");
        assert_eq!(of_device(S_IFCHR, (10 << 20) | 229), Some(Rule::HostDevice));
        assert_eq!(of_device(S_IFCHR, DEV_MEM), Some(Rule::KernelMemory));
        assert_eq!(of_device(S_IFCHR, (202 << 20) | 3), Some(Rule::KernelMemory));
        assert_eq!(of_device(S_IFBLK, 7 << 20), Some(Rule::BlockDevice));
    }

    #[test]
    fn a_write_rule_lets_readers_pass() {
        let value = pack(Rule::CorePattern, Access::Write);
        assert_eq!(unpack(value, 1), None);
        assert_eq!(unpack(value, 1 | FMODE_WRITE), Some(Rule::CorePattern));
        assert_eq!(unpack(pack(Rule::KernelMemory, Access::Any), 1), Some(Rule::KernelMemory));
    }
}
