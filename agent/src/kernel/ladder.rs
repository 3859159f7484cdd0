//! What this node's kernel can really do for each rule, and why not more.

use bulkhead_abi::{Rule, Rung};
use serde::{Serialize, Serializer};

use super::lineage::LineageStatus;

/// What a rule can do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Refuses what the policy says, by every way in.
    Enforcing,
    /// Sees all or a part, refuses nothing.
    Observing,
    /// Nothing here sees it.
    Blind,
}

impl State {
    /// The word used in metrics and tables.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Enforcing => "enforcing",
            Self::Observing => "observing",
            Self::Blind => "blind",
        }
    }
}

impl State {
    /// Whether the rule can refuse.
    pub(crate) fn enforces(self) -> bool {
        self == Self::Enforcing
    }
}

/// How one hook is attached.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HookStatus {
    /// The hook's name.
    pub hook: &'static str,
    /// What is attached.
    #[serde(serialize_with = "rung_name")]
    pub rung: Rung,
    /// Why nothing stronger is; empty at the top.
    pub why: String,
}

/// What one rule can do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RuleStatus {
    /// Its stable id.
    pub rule: &'static str,
    /// Its number, for code.
    #[serde(skip)]
    pub number: Rule,
    /// Its title.
    pub title: &'static str,
    /// What it can do.
    pub state: State,
    /// The weakest of its rungs: a rule is as strong as its weakest way in.
    #[serde(serialize_with = "rung_name")]
    pub rung: Rung,
    /// What of it is seen, where that is not all; why not more.
    pub why: String,
}

/// The whole picture.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ladder {
    /// The kernel's release.
    pub kernel: String,
    /// The security modules that the kernel lists, if it shows them.
    pub active_lsm: Option<String>,
    /// What to change to get more; empty when everything is enforced.
    pub advice: Vec<String>,
    /// Each rule.
    pub rules: Vec<RuleStatus>,
    /// Each hook.
    pub hooks: Vec<HookStatus>,
    /// What lineages lack.
    pub lineage: LineageStatus,
}

impl Ladder {
    /// How many rules are in a state.
    pub(crate) fn count(&self, state: State) -> usize {
        self.rules.iter().filter(|rule| rule.state == state).count()
    }

    /// Whether every rule can refuse.
    pub(crate) fn fully_enforcing(&self) -> bool {
        self.count(State::Enforcing) == self.rules.len()
    }

    /// The status of a rule.
    pub(crate) fn rule(&self, rule: Rule) -> Option<&RuleStatus> {
        self.rules.iter().find(|status| status.number == rule)
    }

    /// The rung of a rule: of its weakest way in.
    pub(crate) fn rung(&self, rule: Rule) -> Rung {
        self.rule(rule).map_or(Rung::Blind, |status| status.rung)
    }
}

/// What a rung makes of a rule.
pub(crate) fn state_of(rung: Rung) -> State {
    match rung {
        Rung::Lsm | Rung::Cgroup => State::Enforcing,
        Rung::Fentry | Rung::Tracepoint => State::Observing,
        Rung::Blind => State::Blind,
    }
}

fn rung_name<S: Serializer>(rung: &Rung, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(rung.as_str())
}
