//! Keys and System V IPC objects.

use bulkhead_abi::{Relation, Rule};

/// linux/key.h: KEY_NEED_SEARCH.
const NEED_SEARCH: u64 = 4;

/// Whether the use of an object in this relation counts. `how` is what is asked of a key, or the
/// mode that is asked of an IPC object.
///
/// A process without a session keyring of its own has inherited the node's, and the kernel searches
/// it at every look-up of a key: that is no act of the process.
#[inline(always)]
pub fn counts(rule: Rule, relation: Relation, how: u64) -> bool {
    match (rule, relation) {
        (_, Relation::Own) => false,
        (Rule::KernelKey, Relation::Host) => how != NEED_SEARCH,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_search_of_an_inherited_keyring_is_let_pass() {
        assert!(!counts(Rule::KernelKey, Relation::Host, NEED_SEARCH));
        assert!(counts(Rule::KernelKey, Relation::Host, 2));
        assert!(counts(Rule::KernelKey, Relation::CrossTenant, NEED_SEARCH));
        assert!(counts(Rule::IpcObject, Relation::Host, NEED_SEARCH));
        assert!(!counts(Rule::IpcObject, Relation::Own, 0o600));
    }
}
