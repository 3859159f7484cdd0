//! What a profile says.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::calls::Arch;

/// EPERM: what a refused call returns where nothing else is said.
pub const EPERM: u16 = 1;
/// ENOSYS: "there is no such call", on which programs fall back to an older one.
pub const ENOSYS: u16 = 38;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The process is killed.
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// The thread gets SIGSYS.
    Trap,
    /// The call is not made and returns this error.
    Errno(u16),
    /// A listener decides.
    Notify,
    /// A tracer decides; without one the call is not made.
    Trace(u16),
    /// The call is made, and logged.
    Log,
    /// The call is made.
    Allow,
}

impl Action {
    /// Whether the call is made.
    pub fn executes(self) -> bool {
        matches!(self, Self::Allow | Self::Log)
    }

    /// Whether the call is made, or somebody else may have it made.
    pub fn may_execute(self) -> bool {
        self.executes() || matches!(self, Self::Notify | Self::Trace(_))
    }

    /// As in a profile, without the error.
    pub fn oci_name(self) -> &'static str {
        match self {
            Self::KillProcess => "SCMP_ACT_KILL_PROCESS",
            Self::KillThread => "SCMP_ACT_KILL_THREAD",
            Self::Trap => "SCMP_ACT_TRAP",
            Self::Errno(_) => "SCMP_ACT_ERRNO",
            Self::Notify => "SCMP_ACT_NOTIFY",
            Self::Trace(_) => "SCMP_ACT_TRACE",
            Self::Log => "SCMP_ACT_LOG",
            Self::Allow => "SCMP_ACT_ALLOW",
        }
    }

    /// The action of a profile; `None` for a name that no runtime knows.
    pub fn named(name: &str, errno: Option<u16>) -> Option<Self> {
        let errno = errno.unwrap_or(EPERM);
        Some(match name {
            "SCMP_ACT_KILL_PROCESS" => Self::KillProcess,
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Self::KillThread,
            "SCMP_ACT_TRAP" => Self::Trap,
            "SCMP_ACT_ERRNO" => Self::Errno(errno),
            "SCMP_ACT_NOTIFY" => Self::Notify,
            "SCMP_ACT_TRACE" => Self::Trace(errno),
            "SCMP_ACT_LOG" => Self::Log,
            "SCMP_ACT_ALLOW" => Self::Allow,
            _ => return None,
        })
    }

    /// The error or message that goes with it.
    pub fn errno(self) -> Option<u16> {
        match self {
            Self::Errno(errno) | Self::Trace(errno) => Some(errno),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillProcess => f.write_str("kill the process"),
            Self::KillThread => f.write_str("kill the thread"),
            Self::Trap => f.write_str("trap (SIGSYS)"),
            Self::Errno(errno) => match errno_name(*errno) {
                Some(name) => write!(f, "refuse ({name})"),
                None => write!(f, "refuse (errno {errno})"),
            },
            Self::Notify => f.write_str("ask the listener"),
            Self::Trace(_) => f.write_str("ask the tracer"),
            Self::Log => f.write_str("allow and log"),
            Self::Allow => f.write_str("allow"),
        }
    }
}

/// The errors that profiles use (asm-generic/errno.h).
fn errno_name(errno: u16) -> Option<&'static str> {
    Some(match errno {
        EPERM => "EPERM",
        13 => "EACCES",
        22 => "EINVAL",
        ENOSYS => "ENOSYS",
        95 => "EOPNOTSUPP",
        97 => "EAFNOSUPPORT",
        _ => return None,
    })
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// `!=`
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    /// `<`
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    /// `<=`
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    /// `==`
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    /// `>=`
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    /// `>`
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// `(argument & value) == valueTwo`
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

impl Operator {
    /// As in a profile.
    pub fn oci_name(self) -> &'static str {
        match self {
            Self::NotEqual => "SCMP_CMP_NE",
            Self::Less => "SCMP_CMP_LT",
            Self::LessOrEqual => "SCMP_CMP_LE",
            Self::Equal => "SCMP_CMP_EQ",
            Self::GreaterOrEqual => "SCMP_CMP_GE",
            Self::Greater => "SCMP_CMP_GT",
            Self::MaskedEqual => "SCMP_CMP_MASKED_EQ",
        }
    }
}

/// A comparison of one argument, as a 64-bit number without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Condition {
    /// Which argument, from 0.
    pub index: u32,
    /// The number, or the mask.
    pub value: u64,
    /// What the masked argument must be.
    #[serde(rename = "valueTwo")]
    pub value_two: u64,
    /// How.
    pub op: Operator,
}

impl Condition {
    /// Whether the arguments fit.
    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        let argument = usize::try_from(self.index)
            .ok()
            .and_then(|index| arguments.get(index))
            .copied()
            .unwrap_or_default();
        match self.op {
            Operator::NotEqual => argument != self.value,
            Operator::Less => argument < self.value,
            Operator::LessOrEqual => argument <= self.value,
            Operator::Equal => argument == self.value,
            Operator::GreaterOrEqual => argument >= self.value,
            Operator::Greater => argument > self.value,
            // libseccomp masks both sides.
            Operator::MaskedEqual => argument & self.value == self.value_two & self.value,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, value, value_two, op } = self;
        let sign = match op {
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal => "==",
            Operator::GreaterOrEqual => ">=",
            Operator::Greater => ">",
            Operator::MaskedEqual => return write!(f, "a{index} & {value:#x} == {value_two:#x}"),
        };
        write!(f, "a{index} {sign} {value:#x}")
    }
}

/// When a rule of moby's form counts. The runtimes of Kubernetes do not know it: to containerd a
/// rule with it is a rule without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Capabilities of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<String>>,
    /// Architectures of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<String>>,
    /// The oldest kernel, as `4.8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_kernel: Option<String>,
}

impl Filter {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        let none = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
        none(&self.caps) && none(&self.arches) && self.min_kernel.is_none()
    }
}

/// A rule: for these calls, if all conditions hold, this action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The calls.
    pub names: Vec<String>,
    /// What becomes of them.
    pub action: Action,
    /// Whether the rule said which error.
    pub errno_given: bool,
    /// Conditions; see [`Rule::alternatives`] for how they go together.
    pub args: Vec<Condition>,
    /// Who needs it.
    pub comment: String,
    /// moby: only where all of this is so.
    pub includes: Filter,
    /// moby: not where any of this is so.
    pub excludes: Filter,
}

impl Rule {
    /// A rule without conditions.
    pub fn of(action: Action, names: impl IntoIterator<Item = String>, comment: &str) -> Self {
        Self {
            names: names.into_iter().collect(),
            action,
            errno_given: action.errno().is_some(),
            args: Vec::new(),
            comment: comment.to_owned(),
            includes: Filter::default(),
            excludes: Filter::default(),
        }
    }

    /// The sets of conditions of which one must hold. Conditions go together by AND, but the
    /// runtimes take them apart into OR as soon as one argument is named twice.
    pub fn alternatives(&self) -> Vec<Vec<Condition>> {
        if self.repeats_an_argument() {
            self.args.iter().map(|condition| vec![*condition]).collect()
        } else {
            vec![self.args.clone()]
        }
    }

    /// Whether two conditions are on one argument.
    pub fn repeats_an_argument(&self) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        self.args.iter().any(|condition| !seen.insert(condition.index))
    }

    /// Whether the rule is of moby's form and depends on the container or the node.
    pub fn is_conditional_on_the_container(&self) -> bool {
        !self.includes.is_empty() || !self.excludes.is_empty()
    }
}

/// The name of an architecture in a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ArchName(pub String);

impl ArchName {
    /// The architecture, if it is one whose calls can be asked for here.
    pub fn arch(&self) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.oci_name() == self.0)
    }
}

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What becomes of a call that no rule names.
    pub default_action: Action,
    /// Whether the profile said which error the default action gives.
    pub default_errno_given: bool,
    /// Architectures, beside the node's own.
    pub architectures: Vec<ArchName>,
    /// moby: an architecture and those that come with it.
    pub arch_map: BTreeMap<String, Vec<String>>,
    /// Flags of seccomp(2).
    pub flags: Vec<String>,
    /// The socket of who answers `SCMP_ACT_NOTIFY`.
    pub listener_path: Option<String>,
    /// Handed to the listener.
    pub listener_metadata: Option<String>,
    /// The rules, in their order.
    pub rules: Vec<Rule>,
}

impl Profile {
    /// One with nothing but a default.
    pub fn new(default_action: Action) -> Self {
        Self {
            default_action,
            default_errno_given: default_action.errno().is_some(),
            architectures: Vec::new(),
            arch_map: BTreeMap::new(),
            flags: Vec::new(),
            listener_path: None,
            listener_metadata: None,
            rules: Vec::new(),
        }
    }

    /// The architectures that the filter of a node of `machine` covers, its own among them.
    pub fn covered(&self, machine: Arch) -> Vec<Arch> {
        let mut covered = vec![machine];
        let listed = self.architectures.iter().filter_map(ArchName::arch);
        covered.extend(listed.filter(|arch| arch.machine() == machine && *arch != machine));
        covered.dedup();
        covered
    }
}
