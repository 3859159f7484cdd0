//! New namespaces.

use bulkhead_abi::Rule;

/// The CLONE_NEW* flags (linux/sched.h) but CLONE_NEWUSER, which has a hook of its own:
/// NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET.
pub const NEW_NAMESPACES: u64 =
    0x0000_0080 | 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x2000_0000 | 0x4000_0000;

/// The rule for the flags of a new task, if they ask for namespaces.
#[inline(always)]
pub const fn of_clone_flags(flags: u64) -> Option<Rule> {
    if flags & NEW_NAMESPACES != 0 { Some(Rule::CloneNamespaces) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_or_a_plain_fork_asks_for_no_namespace() {
        const CLONE_THREAD_OF_GLIBC: u64 = 0x003d_0f00;
        assert_eq!(of_clone_flags(CLONE_THREAD_OF_GLIBC), None);
        assert_eq!(of_clone_flags(0), None);
        assert_eq!(of_clone_flags(0x1000_0000), None, "CLONE_NEWUSER meets userns_create");
    }

    #[test]
    fn every_other_namespace_flag_is_seen() {
        for flag in [0x80, 0x20000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x2000_0000, 0x4000_0000]
        {
            assert_eq!(of_clone_flags(flag), Some(Rule::CloneNamespaces), "{flag:#x}");
        }
    }
}
