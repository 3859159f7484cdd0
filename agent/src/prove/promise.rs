//! What a level promises about one behaviour on this node.

use bulkhead_abi::{LevelTable, Relation, Rule, Rung, Verdict};
use serde::Serialize;

use super::behaviour::Behaviour;
use crate::kernel::is_decided_by_cgroup_program;

/// From the policy's verdict and the rung that this node can stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Promise {
    /// The act is refused, and reported.
    Blocked,
    /// The act is reported.
    Seen,
    /// The act is nobody's business: not refused, not reported.
    Allowed,
    /// The hook on this node sees a part of such acts; either way is within the promise.
    PartlySeen,
    /// Nothing on this node sees such acts.
    Nothing,
}

impl Promise {
    /// The promise about `behaviour` under `table` where its rule stands on `rung`.
    pub(crate) fn of(verdict: Verdict, rung: Rung) -> Self {
        match (verdict, rung) {
            (Verdict::Off, _) => Self::Allowed,
            (Verdict::Deny | Verdict::Kill | Verdict::Freeze, Rung::Lsm) => Self::Blocked,
            (_, Rung::Lsm | Rung::Fentry) => Self::Seen,
            (_, Rung::Tracepoint | Rung::Cgroup) => Self::PartlySeen,
            (_, Rung::Blind) => Self::Nothing,
        }
    }

    /// The same for a rule of which a cgroup program may be the whole, and then refuses as LSM does.
    pub(crate) fn of_rule(rule: Rule, verdict: Verdict, rung: Rung) -> Self {
        let whole = rung == Rung::Cgroup && is_decided_by_cgroup_program(rule);
        Self::of(verdict, if whole { Rung::Lsm } else { rung })
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Seen => "seen",
            Self::Allowed => "allowed",
            Self::PartlySeen => "partly seen",
            Self::Nothing => "nothing",
        }
    }
}

/// The level's table for one trial: its ceiling is lifted by what the behaviour needs, so that the
/// behaviour's own rule answers. The behaviours of the ceiling itself meet it as it is.
pub(crate) fn table_for(behaviour: &Behaviour, level: &LevelTable) -> LevelTable {
    let mut table = *level;
    if behaviour.rule != Rule::CapabilityCeiling {
        table.ceiling |= behaviour.needs.iter().fold(0, |caps, cap| caps | 1 << cap);
    }
    table
}

/// The policy's verdict about a behaviour towards a target in `relation`.
pub(crate) fn verdict(behaviour: &Behaviour, relation: Relation, table: &LevelTable) -> Verdict {
    let below_ceiling = behaviour.rule == Rule::CapabilityCeiling
        && behaviour.needs.iter().all(|cap| table.allows_capability(*cap));
    if below_ceiling { Verdict::Off } else { table.verdict(behaviour.rule, relation) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::acts::named;

    fn table(rule: Rule, relation: Relation, verdict: Verdict) -> LevelTable {
        let mut table = LevelTable { ceiling: 0, ..LevelTable::OFF };
        table.set(rule, relation, verdict);
        table
    }

    #[test]
    fn a_refusal_is_promised_only_where_the_kernel_can_refuse() {
        assert_eq!(Promise::of(Verdict::Deny, Rung::Lsm), Promise::Blocked);
        assert_eq!(Promise::of(Verdict::Kill, Rung::Lsm), Promise::Blocked);
        assert_eq!(Promise::of(Verdict::Deny, Rung::Fentry), Promise::Seen);
        assert_eq!(Promise::of(Verdict::Audit, Rung::Lsm), Promise::Seen);
        assert_eq!(Promise::of(Verdict::Audit, Rung::Tracepoint), Promise::PartlySeen);
        assert_eq!(Promise::of(Verdict::Deny, Rung::Blind), Promise::Nothing);
        assert_eq!(Promise::of(Verdict::Off, Rung::Blind), Promise::Allowed);
    }

    #[test]
    fn a_rule_that_a_cgroup_program_decides_alone_promises_all_that_the_level_asks() {
        let of = |rule| Promise::of_rule(rule, Verdict::Deny, Rung::Cgroup);
        assert_eq!(of(Rule::DeviceNotGranted), Promise::Blocked);
        assert_eq!(of(Rule::BlockDevice), Promise::PartlySeen, "it stands in for a hook");
        let blind = Promise::of_rule(Rule::DeviceNotGranted, Verdict::Deny, Rung::Blind);
        assert_eq!(blind, Promise::Nothing);
    }

    #[test]
    fn a_capability_below_the_ceiling_is_nobodys_business() {
        let behaviour = named("cap-sys-boot").unwrap();
        let mut table = table(Rule::CapabilityCeiling, Relation::None, Verdict::Deny);
        assert_eq!(verdict(behaviour, Relation::None, &table), Verdict::Deny);
        table.ceiling = u64::MAX;
        assert_eq!(verdict(behaviour, Relation::None, &table), Verdict::Off);
    }

    #[test]
    fn the_ceiling_is_lifted_for_other_rules_by_just_what_they_need() {
        let level = table(Rule::Chroot, Relation::None, Verdict::Deny);
        let chroot = table_for(named("chroot").unwrap(), &level);
        assert_eq!(chroot.ceiling, 1 << 18);
        assert_eq!(table_for(named("cap-sys-boot").unwrap(), &level).ceiling, 0);
    }
}
