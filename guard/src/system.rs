//! What a workload asks of the kernel as a whole: modules, kernels, rings, watches, credentials.

use bulkhead_abi::Rule;

// linux/kernel_read_file.h; LOADING_* has the same numbers.
const READING_MODULE: u64 = 2;
const READING_KEXEC_IMAGE: u64 = 3;
const READING_KEXEC_INITRAMFS: u64 = 4;
const READING_MODULE_COMPRESSED: u64 = 7;
// uapi/linux/fanotify.h: permission events.
const PERMISSION_EVENTS: u64 = 0x0001_0000 | 0x0002_0000 | 0x0004_0000;

/// The rule for what the kernel is given to load.
#[inline(always)]
pub const fn of_loaded(kind: u64) -> Option<Rule> {
    match kind {
        READING_MODULE | READING_MODULE_COMPRESSED => Some(Rule::ModuleLoad),
        READING_KEXEC_IMAGE | READING_KEXEC_INITRAMFS => Some(Rule::KernelImage),
        _ => None,
    }
}

/// The rule for an anonymous file of this class.
#[inline(always)]
pub fn of_anonymous(class: &[u8; 16]) -> Option<Rule> {
    if class == b"[io_uring]\0\0\0\0\0\0" {
        Some(Rule::IoUring)
    } else if class == b"[userfaultfd]\0\0\0" {
        Some(Rule::Userfaultfd)
    } else {
        None
    }
}

/// Whether a watch takes in more than one file or decides for others: what inotify never does.
/// `kind` is 0 for an inode.
#[inline(always)]
pub const fn is_wide_watch(mask: u64, kind: u32) -> bool {
    kind != 0 || mask & PERMISSION_EVENTS != 0
}

/// Whether a change of user ids makes root of a process that had no part of root before.
#[inline(always)]
pub const fn becomes_root(before: [u32; 3], after: [u32; 3]) -> bool {
    !has_root(before) && has_root(after)
}

const fn has_root(ids: [u32; 3]) -> bool {
    let [real, effective, saved] = ids;
    real == 0 || effective == 0 || saved == 0
}

/// The capabilities that become effective.
#[inline(always)]
pub const fn raised(before: u64, after: u64) -> u64 {
    after & !before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_kernels_are_told_from_firmware() {
        assert_eq!(of_loaded(2), Some(Rule::ModuleLoad));
        assert_eq!(of_loaded(7), Some(Rule::ModuleLoad));
        assert_eq!(of_loaded(3), Some(Rule::KernelImage));
        for other in [0, 1, 5, 6, 8] {
            assert_eq!(of_loaded(other), None, "{other}");
        }
    }

    #[test]
    fn rings_are_known_by_their_class() {
        assert_eq!(of_anonymous(b"[io_uring]\0\0\0\0\0\0"), Some(Rule::IoUring));
        assert_eq!(of_anonymous(b"[userfaultfd]\0\0\0"), Some(Rule::Userfaultfd));
        assert_eq!(of_anonymous(b"[eventfd]\0\0\0\0\0\0\0"), None);
    }

    #[test]
    fn inotify_is_no_wide_watch() {
        assert!(!is_wide_watch(0xfff, 0));
        assert!(is_wide_watch(0x20, 1) && is_wide_watch(0x0001_0000, 0));
    }

    #[test]
    fn a_daemon_that_takes_its_root_back_does_not_become_root() {
        assert!(becomes_root([1000; 3], [0; 3]));
        assert!(becomes_root([1000; 3], [1000, 0, 1000]));
        assert!(!becomes_root([0, 1000, 0], [0; 3]), "seteuid and back");
        assert!(!becomes_root([0; 3], [33; 3]), "dropping");
    }

    #[test]
    fn only_new_capabilities_are_raised() {
        assert_eq!(raised(0b0110, 0b0011), 0b0001);
        assert_eq!(raised(0b11, 0b01), 0);
    }
}
