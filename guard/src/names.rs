//! Files that are made, changed, renamed and removed by name.

use bulkhead_abi::Rule;

// uapi/linux/stat.h
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFLNK: u32 = 0o120_000;
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o0010;
/// uapi/linux/fs.h
const RENAME_EXCHANGE: u64 = 2;
/// Key, in the list of sensitive files, of directories in which a new file is a drop.
pub const DROP_DIRECTORIES: u64 = 1;
/// Key, in the list of sensitive files, of names that are a drop wherever they appear.
pub const DROP_NAMES: u64 = 2;

/// The rule for making a file of this mode; `device` is its device number.
#[inline(always)]
pub const fn of_made(mode: u32, device: u32) -> Option<Rule> {
    match mode & S_IFMT {
        // Device 0:0 is overlayfs's mark for a removed file.
        S_IFCHR | S_IFBLK if device != 0 => Some(Rule::SpecialFile),
        S_IFREG | 0 => of_mode(mode, S_IFREG),
        _ => None,
    }
}

/// The rule for giving a file of type `kind` this mode. On a directory the bits mean inheritance.
#[inline(always)]
pub const fn of_mode(mode: u32, kind: u32) -> Option<Rule> {
    let set_group = mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP;
    if kind & S_IFMT == S_IFREG && (mode & S_ISUID != 0 || set_group) {
        Some(Rule::SuidCreated)
    } else {
        None
    }
}

/// Whether an extended attribute gives a program capabilities.
#[inline(always)]
pub fn is_capability_attribute(name: &[u8; 24]) -> bool {
    is(name, b"security.capability\0")
}

/// Whether a rename exchanges a symbolic link with something else.
#[inline(always)]
pub const fn exchanges_link(flags: u64, one: u32, other: u32) -> bool {
    flags & RENAME_EXCHANGE != 0 && (one & S_IFMT == S_IFLNK || other & S_IFMT == S_IFLNK)
}

/// Whether a symbolic link of this name lies in wait for the runtime, which mounts over `/dev/null`
/// and `/dev/console` of a container that it sets up: it points into /proc.
#[inline(always)]
pub fn is_mask_link(name: &[u8; 24], target: &[u8; 24]) -> bool {
    let lies_in_wait =
        is(name, b"null\0") || is(name, b"console\0") || is(name, b"pts\0") || is(name, b"ptmx\0");
    // /dev/stdin and its like point to /proc/self/fd, and bear other names.
    lies_in_wait && is(target, b"/proc/")
}

/// Whether a directory of this name, in one of the other, is where logs are.
#[inline(always)]
pub fn is_log_directory(name: &[u8; 24], above: &[u8; 24]) -> bool {
    is(name, b"log\0") && is(above, b"var\0")
}

#[inline(always)]
fn is<const N: usize>(text: &[u8; 24], start: &[u8; N]) -> bool {
    let mut at = 0;
    while at < N && at < 24 {
        #[allow(clippy::indexing_slicing)]
        if text[at] != start[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn device_nodes_and_set_user_id_programs_are_seen_when_they_are_made() {
        assert_eq!(of_made(S_IFBLK | 0o600, 8 << 20), Some(Rule::SpecialFile));
        assert_eq!(of_made(S_IFCHR, 0), None, "a whiteout");
        assert_eq!(of_made(S_IFREG | 0o4755, 0), Some(Rule::SuidCreated));
        assert_eq!(of_made(S_IFREG | 0o644, 0), None);
        assert_eq!(of_made(0o010_644, 0), None, "a pipe");
    }

    #[test]
    fn a_set_group_id_directory_is_no_program() {
        assert_eq!(of_mode(0o2775, 0o040_000), None);
        assert_eq!(of_mode(0o2755, S_IFREG), Some(Rule::SuidCreated));
        assert_eq!(of_mode(0o2644, S_IFREG), None, "mandatory locking");
        assert_eq!(of_mode(0o755, S_IFREG), None);
    }

    #[test]
    fn only_the_attribute_that_holds_capabilities_counts() {
        assert!(is_capability_attribute(&name("security.capability")));
        assert!(!is_capability_attribute(&name("security.selinux")));
        assert!(!is_capability_attribute(&name("security.capability2")));
    }

    #[test]
    fn exchanging_a_link_is_told_from_renaming() {
        assert!(exchanges_link(2, S_IFLNK, 0o040_000) && exchanges_link(2, 0, S_IFLNK));
        assert!(!exchanges_link(0, S_IFLNK, 0) && !exchanges_link(2, S_IFREG, S_IFREG));
    }

    #[test]
    fn a_link_lies_in_wait_by_name_and_target() {
        assert!(is_mask_link(&name("null"), &name("/proc/sys/kernel")));
        assert!(!is_mask_link(&name("ptmx"), &name("pts/ptmx")));
        assert!(!is_mask_link(&name("stdin"), &name("/proc/self/fd/0")));
    }

    #[test]
    fn logs_are_below_var() {
        assert!(is_log_directory(&name("log"), &name("var")));
        assert!(!is_log_directory(&name("log"), &name("srv")));
        assert!(!is_log_directory(&name("logs"), &name("var")));
    }
}
