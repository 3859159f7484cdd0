//! How an actor stands to a target.

use bulkhead_abi::{Identity, Relation, UNIDENTIFIED_TENANT};

/// The relation of a workload to a target that lives in another cgroup.
///
/// Two tasks of one cgroup are [`Relation::Own`] before any
/// lookup; the caller has seen to that. What nobody has named yet is a stranger to everyone.
#[inline(always)]
pub const fn relation(actor: &Identity, target: &Identity) -> Relation {
    if target.is_host() {
        return Relation::Host;
    }
    if actor.container != 0 && actor.container == target.container {
        return Relation::Own;
    }
    if actor.tenant == UNIDENTIFIED_TENANT || actor.tenant != target.tenant {
        return Relation::CrossTenant;
    }
    if actor.pod != 0 && actor.pod == target.pod { Relation::Pod } else { Relation::Tenant }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(container: u64, pod: u64, tenant: u32) -> Identity {
        Identity { container, pod, tenant, slot: 0, flags: 0 }
    }

    #[test]
    fn each_distance_has_its_relation() {
        let me = identity(10, 5, 1);
        assert_eq!(relation(&me, &identity(10, 5, 1)), Relation::Own);
        assert_eq!(relation(&me, &identity(11, 5, 1)), Relation::Pod);
        assert_eq!(relation(&me, &identity(12, 6, 1)), Relation::Tenant);
        assert_eq!(relation(&me, &identity(13, 7, 2)), Relation::CrossTenant);
        assert_eq!(relation(&me, &Identity::HOST), Relation::Host);
    }

    #[test]
    fn two_unnamed_workloads_are_strangers() {
        let unnamed = identity(0, 0, UNIDENTIFIED_TENANT);
        assert_eq!(relation(&unnamed, &unnamed), Relation::CrossTenant);
        assert_eq!(relation(&identity(10, 5, 1), &unnamed), Relation::CrossTenant);
        assert_eq!(relation(&unnamed, &identity(10, 5, 1)), Relation::CrossTenant);
    }

    #[test]
    fn containers_without_a_pod_are_not_of_one_pod() {
        let (one, two) = (identity(10, 0, 1), identity(11, 0, 1));
        assert_eq!(relation(&one, &two), Relation::Tenant);
    }
}
