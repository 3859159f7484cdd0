//! The same act again and again: one event says how often.

use bulkhead_abi as abi;
use bulkhead_abi::{Effect, Relation, Rule, UNIDENTIFIED_TENANT, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Container, Event, Kind, Names, Pod, Text, effect, relation, rfc3339, rule, severity, verdict,
    wall_clock,
};
use crate::{
    catalogue::{self, RuleInfo, Severity},
    everyday,
};

/// Acts that were the same as one that has an event of its own.
#[derive(Clone, Debug, Serialize)]
pub struct Repeats {
    /// The rule, as the catalogue tells it.
    #[serde(flatten, serialize_with = "rule")]
    pub rule: &'static RuleInfo,
    /// How bad one of them is.
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
    /// What the policy asked for.
    #[serde(serialize_with = "verdict")]
    pub verdict: Verdict,
    /// What became of them.
    #[serde(serialize_with = "effect")]
    pub effect: Effect,
    /// How the actor stands to the target.
    #[serde(serialize_with = "relation")]
    pub relation: Relation,
    /// The number of the event of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// How many came after it.
    pub repeats: u64,
    /// When the first was.
    #[serde(serialize_with = "rfc3339")]
    pub first: Timestamp,
    /// When the last was.
    #[serde(serialize_with = "rfc3339")]
    pub last: Timestamp,
    /// Who.
    pub actor: Repeater,
}

/// Whose processes repeated it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repeater {
    /// The tenant's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text>,
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// The id of the container's cgroup.
    pub cgroup_id: u64,
}

/// What was counted of one act, in the kernel's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The number of the event of the first, where it is known.
    pub of: Option<u64>,
    /// How many came after it.
    pub repeats: u64,
    /// Nanoseconds since boot of the first.
    pub first: u64,
    /// And of the last.
    pub last: u64,
}

impl Repeats {
    /// The event's part for acts of this key; `None` for a key that this build cannot read.
    pub fn new(
        key: &abi::ActKey,
        count: Count,
        boot: Timestamp,
        names: &dyn Names,
    ) -> Option<Self> {
        let rule = catalogue::info(Rule::from_u16(key.rule.into())?);
        let verdict = Verdict::from_u8(key.verdict)?;
        let effect = Effect::from_u8(key.effect())?;
        let relation = Relation::from_u8(key.relation)?;
        Some(Self {
            rule,
            severity: everyday::severity(rule, verdict, effect, relation),
            verdict,
            effect,
            relation,
            of: count.of,
            repeats: count.repeats,
            first: wall_clock(boot, count.first),
            last: wall_clock(boot, count.last),
            actor: Repeater::new(key, names),
        })
    }
}

impl Repeater {
    fn new(key: &abi::ActKey, names: &dyn Names) -> Self {
        let cgroup_id = key.container;
        if let Some(owner) = names.owner(cgroup_id) {
            return Self {
                tenant: Some(Text::new(owner.tenant)),
                pod: owner.pod.cloned(),
                container: Some(owner.container.clone()),
                cgroup_id,
            };
        }
        let tenant = match key.tenant {
            UNIDENTIFIED_TENANT => None,
            number => names.tenant(number).map(Text::new),
        };
        Self { tenant, pod: None, container: names.container(cgroup_id).cloned(), cgroup_id }
    }
}

impl From<Repeats> for Kind {
    fn from(repeats: Repeats) -> Self {
        Self::Repeats(Box::new(repeats))
    }
}

impl Event {
    /// Whether this is an act's own event, which repeats may refer to.
    pub fn is_act(&self) -> bool {
        matches!(self.kind, Kind::Act(_))
    }
}
