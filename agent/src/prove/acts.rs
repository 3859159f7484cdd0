//! The acts, one file a family. Each is harmless also where it goes through: what it touches is
//! its own process, a prop in its own mount namespace, or what `prove` started or made for it.

pub(crate) mod bpf;
pub(crate) mod capabilities;
pub(crate) mod control;
pub(crate) mod descriptors;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod namespaces;
pub(crate) mod own;
pub(crate) mod processes;
pub(crate) mod sockets;
pub(crate) mod system;

use super::behaviour::Behaviour;

/// Every behaviour, family by family.
pub(crate) fn all() -> impl Iterator<Item = &'static Behaviour> {
    [
        mounts::ALL,
        namespaces::ALL,
        processes::ALL,
        control::ALL,
        descriptors::ALL,
        bpf::ALL,
        exec::ALL,
        files::ALL,
        names::ALL,
        system::ALL,
        sockets::ALL,
        capabilities::ALL,
        own::ALL,
    ]
    .into_iter()
    .flatten()
}

/// The behaviour of that name.
pub(crate) fn named(name: &str) -> Option<&'static Behaviour> {
    all().find(|behaviour| behaviour.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bulkhead_abi::Rule;

    use super::*;
    use crate::prove::behaviour::Target;

    #[test]
    fn names_are_unique_and_every_rule_has_a_behaviour() {
        let names: BTreeSet<_> = all().map(|behaviour| behaviour.name).collect();
        assert_eq!(names.len(), all().count());
        for rule in Rule::ALL {
            assert!(all().any(|behaviour| behaviour.rule == *rule), "{rule:?} is never tried");
        }
    }

    #[test]
    fn quick_tries_each_family_and_a_neighbour() {
        assert!(all().filter(|behaviour| behaviour.quick).count() >= 10);
        assert!(all().any(|b| b.quick && b.target == Target::Process));
    }
}
