//! Whose an open file is, and sockets that lead to other workloads.

use bulkhead_abi::{Identity, Relation, Rule};

use crate::relation::relation;

/// linux/magic.h
pub const NSFS_MAGIC: u64 = 0x6e73_6673;
const SOCKFS_MAGIC: u64 = 0x534f_434b;
/// The key under which names of runtime sockets stand in the list of sensitive files: the magic of
/// the file system that sockets live in.
pub const RUNTIME_SOCKETS: u64 = SOCKFS_MAGIC;
const AF_UNIX: u16 = 1;

/// What tells whose an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is a namespace: its number.
    ByNamespace,
    /// It is a socket: the cgroup in which it was made.
    BySocket,
    /// It is a file on a mount: the mount namespace of that mount.
    ByMount,
}

/// What tells whose a file of this file system is. Pipes, memfds and anonymous inodes hang on the
/// kernel's own mounts, which are in no namespace: for them the mount says nobody.
#[inline(always)]
pub const fn told(magic: u64) -> Told {
    match magic {
        NSFS_MAGIC => Told::ByNamespace,
        SOCKFS_MAGIC => Told::BySocket,
        _ => Told::ByMount,
    }
}

/// The rule for receiving it.
#[inline(always)]
pub const fn of_received(told: Told) -> Rule {
    match told {
        Told::ByNamespace => Rule::NamespaceDescriptor,
        Told::BySocket | Told::ByMount => Rule::DescriptorReceive,
    }
}

/// Whether the maker of a socket of this family tells whose it is. The accepted end of a unix
/// socket is made by the process that connects.
#[inline(always)]
pub const fn has_maker(family: u16) -> bool {
    family != AF_UNIX
}

/// How an actor stands to the owner of a thing; one that nobody owns is nobody else's.
#[inline(always)]
pub fn relation_to(actor: &Identity, owner: Option<&Identity>) -> Relation {
    match owner {
        Some(owner) => relation(actor, owner),
        None => Relation::Own,
    }
}

/// Whether an abstract socket of the node is a containerd shim's: its address begins with the
/// family, the zero byte of an abstract name, and this.
#[inline(always)]
pub fn is_shim(name: &[u8; 24]) -> bool {
    let start = b"\x01\0\0/containerd-shim";
    let mut at = 0;
    while at < start.len() {
        #[allow(clippy::indexing_slicing)]
        if name[at] != start[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Identity = Identity { container: 10, pod: 5, tenant: 1, slot: 0, flags: 0 };

    #[test]
    fn each_kind_of_file_is_told_by_what_the_kernel_knows_of_it() {
        assert_eq!(told(NSFS_MAGIC), Told::ByNamespace);
        assert_eq!(told(SOCKFS_MAGIC), Told::BySocket);
        for magic in [0x794c_7630, 0xef53, 0x0102_1994, 0x0904_1934] {
            assert_eq!(told(magic), Told::ByMount, "{magic:#x}");
        }
        assert_eq!(of_received(Told::ByNamespace), Rule::NamespaceDescriptor);
        assert_eq!(of_received(Told::BySocket), Rule::DescriptorReceive);
        assert_eq!(of_received(Told::ByMount), Rule::DescriptorReceive);
    }

    #[test]
    fn what_nobody_owns_is_nobody_else_s() {
        assert_eq!(relation_to(&ME, None), Relation::Own);
        assert_eq!(relation_to(&ME, Some(&ME)), Relation::Own);
        assert_eq!(relation_to(&ME, Some(&Identity::HOST)), Relation::Host);
        let other = Identity { container: 20, pod: 6, tenant: 2, ..ME };
        assert_eq!(relation_to(&ME, Some(&other)), Relation::CrossTenant);
    }

    #[test]
    fn an_accepted_unix_socket_is_not_told_by_its_maker() {
        assert!(!has_maker(AF_UNIX));
        assert!(has_maker(2) && has_maker(10) && has_maker(17));
    }

    #[test]
    fn a_shim_is_known_by_its_abstract_name_alone() {
        let mut name = [0; 24];
        name[..20].copy_from_slice(b"\x01\0\0/containerd-shim/");
        assert!(is_shim(&name));
        name[2] = b'/';
        assert!(!is_shim(&name), "a path");
        assert!(!is_shim(&[0; 24]));
    }
}
