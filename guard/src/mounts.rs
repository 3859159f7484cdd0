//! Mounts by the old and the new interface.

use bulkhead_abi::Rule;

/// linux/magic.h
pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// linux/magic.h
pub const SYSFS_MAGIC: u64 = 0x6265_6572;
/// linux/magic.h
pub const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
/// linux/magic.h
pub const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// MS_REMOUNT, MS_BIND, MS_MOVE and the propagation changes (linux/mount.h): these flags of
/// mount(2) make no new file system, and the type argument means nothing with them.
const NO_NEW_FILE_SYSTEM: u64 = 32 | 4096 | 8192 | (1 << 17) | (1 << 18) | (1 << 19) | (1 << 20);

/// The rule for mount(2), from the kernel's copy of its strings, zero-filled.
#[inline(always)]
pub fn of_mount(flags: u64, fstype: &[u8; 16], source: &[u8; 8]) -> Rule {
    if flags & NO_NEW_FILE_SYSTEM != 0 {
        return Rule::Mount;
    }
    if begins(fstype, b"proc\0") || begins(fstype, b"sysfs\0") {
        return Rule::MountProc;
    }
    if begins(fstype, b"cgroup\0") || begins(fstype, b"cgroup2\0") {
        return Rule::MountCgroup;
    }
    if begins(source, b"/dev/") { Rule::MountBlock } else { Rule::Mount }
}

/// The rule for a superblock that is about to be mounted, from the superblock itself: no string
/// that a caller could dress up takes part.
#[inline(always)]
pub const fn of_superblock(magic: u64, on_block_device: bool) -> Rule {
    match magic {
        PROC_SUPER_MAGIC | SYSFS_MAGIC => Rule::MountProc,
        CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC => Rule::MountCgroup,
        _ if on_block_device => Rule::MountBlock,
        _ => Rule::Mount,
    }
}

#[inline(always)]
fn begins<const N: usize, const M: usize>(text: &[u8; N], start: &[u8; M]) -> bool {
    // An index loop with constant bounds: what the verifier follows most easily.
    let mut at = 0;
    while at < M && at < N {
        #[allow(clippy::indexing_slicing)]
        if text[at] != start[at] {
            return false;
        }
        at += 1;
    }
    M <= N
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled<const N: usize>(text: &str) -> [u8; N] {
        let mut bytes = [0; N];
        bytes[..text.len().min(N)].copy_from_slice(&text.as_bytes()[..text.len().min(N)]);
        bytes
    }

    #[test]
    fn each_file_system_type_meets_its_rule() {
        for (fstype, rule) in [
            ("proc", Rule::MountProc),
            ("sysfs", Rule::MountProc),
            ("cgroup", Rule::MountCgroup),
            ("cgroup2", Rule::MountCgroup),
            ("tmpfs", Rule::Mount),
            ("procfs", Rule::Mount),
            ("", Rule::Mount),
        ] {
            assert_eq!(of_mount(0, &filled(fstype), &filled("x")), rule, "{fstype}");
        }
        assert_eq!(of_mount(0, &filled("ext4"), &filled("/dev/vda")), Rule::MountBlock);
    }

    #[test]
    fn a_bind_mount_is_not_taken_for_what_its_type_argument_says() {
        assert_eq!(of_mount(4096, &filled("proc"), &filled("/x")), Rule::Mount);
    }

    #[test]
    fn a_superblock_is_judged_by_what_it_is() {
        assert_eq!(of_superblock(PROC_SUPER_MAGIC, false), Rule::MountProc);
        assert_eq!(of_superblock(CGROUP2_SUPER_MAGIC, false), Rule::MountCgroup);
        assert_eq!(of_superblock(0xef53, true), Rule::MountBlock);
        assert_eq!(of_superblock(0x0102_1994, false), Rule::Mount);
    }
}
