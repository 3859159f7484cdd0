//! Programs that are executed.

use bulkhead_abi::Rule;

use crate::files::{OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC};

/// linux/magic.h: memfd_create with MFD_HUGETLB.
const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// linux/mm.h: VM_WRITE; asm-generic/mman-common.h: PROT_WRITE, PROT_EXEC.
const VM_WRITE: u64 = 2;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;

/// What is known of a program's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Magic number of its file system.
    pub magic: u64,
    /// Names that it has.
    pub links: u32,
    /// It is in an overlay's upper layer.
    pub upper: bool,
}

/// The rule for executing it, by where it lies.
#[inline(always)]
pub const fn of_program(program: Program) -> Option<Rule> {
    match program.magic {
        TMPFS_MAGIC | HUGETLBFS_MAGIC if program.links == 0 => Some(Rule::FilelessExec),
        TMPFS_MAGIC | HUGETLBFS_MAGIC => Some(Rule::MemoryExec),
        OVERLAYFS_SUPER_MAGIC if program.upper => Some(Rule::DroppedExec),
        _ => None,
    }
}

/// Whether a thing in mount namespace `there` is outside for a process in `own`. What is mounted
/// nowhere any more is in namespace 0.
#[inline(always)]
pub const fn is_outside(there: u32, own: u32) -> bool {
    there != 0 && there != own
}

/// Whether standard input and output of these families are one end of a network connection.
#[inline(always)]
pub const fn is_socket_shell(input: u16, output: u16) -> bool {
    is_network(input) && is_network(output)
}

const fn is_network(family: u16) -> bool {
    family == AF_INET || family == AF_INET6
}

/// Whether a change of memory protection asks for execution at all.
#[inline(always)]
pub const fn asks_to_execute(protection: u64) -> bool {
    protection & PROT_EXEC != 0
}

/// Whether the memory is, or becomes, writable too.
#[inline(always)]
pub const fn is_writable(flags: u64, protection: u64) -> bool {
    flags & VM_WRITE != 0 || protection & PROT_WRITE != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXT4: u64 = 0xef53;

    #[test]
    fn a_program_is_judged_by_where_it_lies() {
        let of = |magic, links, upper| of_program(Program { magic, links, upper });
        assert_eq!(of(TMPFS_MAGIC, 0, false), Some(Rule::FilelessExec));
        assert_eq!(of(HUGETLBFS_MAGIC, 0, false), Some(Rule::FilelessExec));
        assert_eq!(of(TMPFS_MAGIC, 1, false), Some(Rule::MemoryExec));
        assert_eq!(of(OVERLAYFS_SUPER_MAGIC, 1, true), Some(Rule::DroppedExec));
        assert_eq!(of(OVERLAYFS_SUPER_MAGIC, 1, false), None, "it is in the image");
        assert_eq!(of(EXT4, 1, true), None);
    }

    #[test]
    fn only_a_network_socket_on_both_ends_is_a_socket_shell() {
        assert!(is_socket_shell(AF_INET, AF_INET) && is_socket_shell(AF_INET6, AF_INET));
        assert!(!is_socket_shell(AF_INET, 0));
        assert!(!is_socket_shell(1, 1), "sshd and docker exec use pipes and unix sockets");
    }

    #[test]
    fn what_is_mounted_nowhere_is_not_outside() {
        assert!(is_outside(2, 1));
        assert!(!is_outside(1, 1) && !is_outside(0, 1));
    }

    #[test]
    fn code_is_writable_before_or_after() {
        assert!(asks_to_execute(PROT_EXEC) && !asks_to_execute(PROT_WRITE));
        assert!(is_writable(VM_WRITE, PROT_EXEC));
        assert!(is_writable(0, PROT_EXEC | PROT_WRITE));
        assert!(!is_writable(1, PROT_EXEC), "what the loader does");
    }
}
