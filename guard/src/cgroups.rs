//! Whose a new cgroup is, before anyone in user space has looked at it.

use bulkhead_abi::{Identity, identity_flag};

/// Cgroups with one of these flags hold containers and are none.
const DIRECTORY: u16 = identity_flag::SLICE | identity_flag::CONTAINERS_BELOW;

/// Whether `other`, a cgroup with this entry, is a part of the container that the actor is in.
#[inline(always)]
pub const fn is_own(
    actor: &Identity,
    actor_cgroup: u64,
    other: &Identity,
    other_cgroup: u64,
) -> bool {
    actor_cgroup == other_cgroup || (actor.container != 0 && actor.container == other.container)
}

/// Whether a name that ends so is a systemd service's: `docker-registry.service` is the node's,
/// whatever its name begins with. `tail` is the name's last eight bytes.
#[inline(always)]
pub const fn is_service(tail: u64) -> bool {
    tail == u64::from_le_bytes(*b".service")
}

/// The entry of a cgroup that has just been made.
///
/// `parent` is its parent's entry; `scope` the template that its name matched, if it bears a name
/// that a runtime gives; `by_host` whether a process outside every workload made it. Names count
/// only where a host process gave them: below its own container a tenant may make any name.
#[inline(always)]
pub fn made(
    parent: Option<&Identity>,
    scope: Option<&Identity>,
    by_host: bool,
    id: u64,
    parent_id: u64,
) -> Option<Identity> {
    let scope = if by_host { scope } else { None };
    match (parent, scope) {
        (Some(parent), _) if parent.container != 0 => Some(*parent),
        (_, Some(scope)) if scope.is_host() => None,
        (Some(parent), Some(scope)) => Some(if scope.flags & DIRECTORY != 0 {
            unconfirmed(*parent)
        } else {
            Identity { container: id, pod: parent_id, ..unconfirmed(*parent) }
        }),
        (Some(parent), None) if parent.flags & identity_flag::CONTAINERS_BELOW != 0 => {
            let flags = parent.flags & !DIRECTORY;
            Some(Identity { container: id, flags, ..*parent })
        }
        (Some(parent), None) => Some(unconfirmed(*parent)),
        (None, Some(scope)) if scope.flags & DIRECTORY != 0 => Some(unconfirmed(*scope)),
        (None, Some(scope)) => Some(Identity { container: id, ..unconfirmed(*scope) }),
        (None, None) => None,
    }
}

#[inline(always)]
const fn unconfirmed(identity: Identity) -> Identity {
    Identity { flags: identity.flags | identity_flag::UNCONFIRMED, ..identity }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_abi::{PENDING_SLOT, UNIDENTIFIED_TENANT};
    use identity_flag::{CONTAINERS_BELOW, SLICE, UNCONFIRMED};

    const PENDING: Identity = Identity {
        container: 0,
        pod: 0,
        tenant: UNIDENTIFIED_TENANT,
        slot: PENDING_SLOT,
        flags: 0,
    };
    const KUBEPODS: Identity = Identity { flags: SLICE, ..PENDING };
    const CONMON: Identity = Identity::HOST;
    const CONTAINER: Identity = Identity { container: 9, pod: 8, tenant: 3, slot: 5, flags: 0 };

    #[test]
    fn a_child_of_a_container_is_the_container() {
        assert_eq!(made(Some(&CONTAINER), None, false, 20, 9), Some(CONTAINER));
        assert_eq!(made(Some(&CONTAINER), Some(&PENDING), true, 20, 9), Some(CONTAINER));
    }

    #[test]
    fn a_tenant_cannot_name_its_way_out() {
        assert_eq!(made(Some(&CONTAINER), Some(&CONMON), false, 20, 9), Some(CONTAINER));
        assert_eq!(made(Some(&CONTAINER), Some(&CONMON), true, 20, 9), Some(CONTAINER));
        let slice = made(Some(&KUBEPODS), Some(&CONMON), false, 20, 9);
        assert_eq!(slice.map(|entry| entry.slot), Some(PENDING_SLOT));
    }

    #[test]
    fn the_runtime_s_monitor_is_no_workload() {
        assert_eq!(made(Some(&KUBEPODS), Some(&CONMON), true, 20, 9), None);
        assert_eq!(made(None, Some(&CONMON), true, 20, 9), None);
    }

    #[test]
    fn a_new_container_scope_is_pending_and_its_own() {
        let pod = Identity { flags: SLICE | UNCONFIRMED, ..PENDING };
        let entry = made(Some(&pod), Some(&PENDING), true, 20, 9).unwrap();
        assert_eq!((entry.container, entry.pod, entry.slot), (20, 9, PENDING_SLOT));
        assert_ne!(entry.flags & UNCONFIRMED, 0);
        let entry = made(None, Some(&PENDING), true, 20, 1).unwrap();
        assert_eq!((entry.container, entry.pod), (20, 0));
    }

    #[test]
    fn an_unknown_child_of_a_slice_is_not_the_host_s() {
        let entry = made(Some(&KUBEPODS), None, true, 20, 9).unwrap();
        assert_eq!((entry.container, entry.tenant, entry.slot), (0, 0, PENDING_SLOT));
    }

    #[test]
    fn children_of_a_tenant_s_directory_are_containers_of_the_tenant() {
        let directory =
            Identity { container: 0, pod: 0, tenant: 4, slot: 7, flags: CONTAINERS_BELOW };
        let entry = made(Some(&directory), None, true, 20, 9).unwrap();
        assert_eq!(entry, Identity { container: 20, pod: 0, tenant: 4, slot: 7, flags: 0 });
    }

    #[test]
    fn only_one_s_own_cgroups_are_one_s_own() {
        assert!(is_own(&CONTAINER, 9, &CONTAINER, 20), "below");
        assert!(!is_own(&CONTAINER, 9, &Identity::HOST, 1), "the root");
        assert!(!is_own(&CONTAINER, 9, &Identity { container: 30, ..CONTAINER }, 30));
        assert!(!is_own(&PENDING, 9, &PENDING, 20), "two that nobody has named");
        assert!(is_own(&PENDING, 9, &PENDING, 9));
    }

    #[test]
    fn a_service_is_not_a_container_by_its_name() {
        assert!(is_service(u64::from_le_bytes(*b".service")));
        assert!(!is_service(u64::from_le_bytes(*b"ab.scope")));
    }

    #[test]
    fn the_host_s_own_cgroups_stay_the_host_s() {
        assert_eq!(made(None, None, true, 20, 1), None);
    }
}
