//! What the agent tells: one event, one line of the evidence log.
//!
//! An event is made from a checked record and the names that the agent knows, without I/O, so that
//! recorded records can be replayed anywhere. docs/events.md explains every field to its reader.

mod control;
mod file;
mod line;
mod lineage;
mod names;
mod operation;
mod party;
mod refused_call;
mod repeats;
mod response;
mod syscall;
mod text;
mod words;

use bulkhead_abi::{Effect, Phase, Relation, Rule, Rung, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use self::file::device;
pub use self::{
    control::ControlChange,
    file::{File, FileOwner},
    lineage::{Lineage, Origin, Step},
    names::{Container, Names, Nobody, Owner, Pod},
    operation::{Argument, Operation},
    party::{Attribution, Binary, Parent, Party, Process},
    refused_call::RefusedCall,
    repeats::{Count, Repeater, Repeats},
    response::{Action, CaptureFile, Cause, Response},
    syscall::{Architecture, Syscall},
    text::Text,
};
use crate::{
    capability,
    catalogue::{self, RuleInfo, Severity},
    decode, everyday,
};

/// One line of the evidence log.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What every line has.
    #[serde(flatten)]
    pub meta: Meta,
    /// What happened.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What every line has.
#[derive(Clone, Debug, Serialize)]
pub struct Meta {
    /// When it happened, by the wall clock.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// Its number in this node's log; 0 until the log has taken it.
    pub sequence: u64,
    /// The node's name.
    pub node: Text,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// A guard rule matched.
    Act(Box<Act>),
    /// The same act again and again.
    Repeats(Box<Repeats>),
    /// Records that will never be in the log.
    Loss(Loss),
    /// A record that could not be read.
    Malformed(Malformed),
    /// A log file that was found damaged.
    Repair(Repair),
    /// A control of a container is missing, or is back.
    Control(Box<ControlChange>),
    /// Something about the agent itself.
    Notice(Notice),
    /// A system call that a container's seccomp profile refused, and told.
    RefusedCall(Box<RefusedCall>),
    /// Something that the agent did about a container.
    Response(Box<Response>),
}

/// A match of a guard rule.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// The rule, as the catalogue tells it.
    #[serde(flatten, serialize_with = "rule")]
    pub rule: &'static RuleInfo,
    /// How bad it is, done as it was.
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
    /// The act's arguments, named.
    #[serde(skip_serializing_if = "Operation::is_empty")]
    pub operation: Operation,
    /// What the policy asked for.
    #[serde(serialize_with = "verdict")]
    pub verdict: Verdict,
    /// What became of the act.
    #[serde(serialize_with = "effect")]
    pub effect: Effect,
    /// Whether other checks were still to come.
    #[serde(serialize_with = "phase")]
    pub phase: Phase,
    /// What kind of program saw it.
    #[serde(serialize_with = "rung")]
    pub rung: Rung,
    /// How the actor stands to the target.
    #[serde(serialize_with = "relation")]
    pub relation: Relation,
    /// The system call; absent outside of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall: Option<Syscall>,
    /// Who.
    pub actor: Party,
    /// From which processes of its container the actor comes.
    pub lineage: Lineage,
    /// On what; absent where the act is on the kernel or the node as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

/// What an act is on.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Target {
    /// A process.
    Process(Box<Party>),
    /// A file or mount.
    File(Box<File>),
}

/// Records that will never be in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// Where they were lost.
    pub place: LossPlace,
    /// How many.
    pub count: u64,
    /// The sequence number of the last of them, where they had numbers; the first is this
    /// event's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sequence: Option<u64>,
    /// The rule they were about, where all were about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// The actor's tenant, where all had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text>,
    /// The acts among them, where they were of several tenants and rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<LostActs>,
}

/// Acts of one tenant that met one rule, and are not in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostActs {
    /// The rule.
    pub rule: &'static str,
    /// The actor's tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text>,
    /// How many.
    pub count: u64,
}

/// Where records can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossPlace {
    /// The ring between kernel and agent was full.
    KernelRing,
    /// The tenant sent more than its budget in the kernel.
    TenantBudget,
    /// The log could not be written for so long that its queue was full.
    EvidenceQueue,
    /// The agent was killed while they waited in its memory for a log that could not be written.
    Agent,
}

/// A record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Malformed {
    /// One word, as in the metric.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// Bytes the record had.
    pub length: usize,
}

/// A log file that was found damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// The file's name.
    pub file: Text,
    /// Bytes that were cut off its end: the beginning of a line whose writing was interrupted.
    pub removed_bytes: u64,
    /// A sentence.
    pub message: String,
}

/// Something about the agent itself.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// One word: `started`, `stopped`, `policy`, `control`, ...
    pub subject: &'static str,
    /// How bad it is.
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
    /// A sentence.
    pub message: Text,
}

/// What is needed beside a record to make an event of it.
pub struct Context<'a> {
    /// This node's name.
    pub node: &'a str,
    /// The wall clock's time at boot: where the kernel's time stamps begin.
    pub boot: Timestamp,
    /// The processor family, `None` where it has no table of system calls here.
    pub architecture: Option<Architecture>,
    /// Who the numbers stand for.
    pub names: &'a dyn Names,
}

impl Event {
    /// The event of a match, yet without a sequence number.
    pub fn of_act(act: &decode::Act, context: &Context<'_>) -> Self {
        let decision = &act.decision;
        let kind = Kind::Act(Box::new(Act {
            rule: catalogue::info(decision.rule),
            severity: everyday::severity(
                catalogue::info(decision.rule),
                decision.verdict,
                decision.effect,
                decision.relation,
            ),
            operation: Operation::new(decision.rule, decision.arguments),
            verdict: decision.verdict,
            effect: decision.effect,
            phase: decision.phase,
            rung: decision.rung,
            relation: decision.relation,
            syscall: decision
                .syscall
                .map(|number| Syscall::new(number, decision.compat, context.architecture)),
            actor: Party::new(&act.actor, context.names),
            lineage: Lineage::new(&act.actor, &act.lineage, context.names),
            target: Target::new(&act.target, context.names),
        }));
        Self::new(wall_clock(context.boot, decision.time), context.node, kind)
    }

    /// An event of the agent's own, yet without a sequence number.
    pub fn new(time: Timestamp, node: &str, kind: Kind) -> Self {
        Self { meta: Meta { time, sequence: 0, node: Text::new(node) }, kind }
    }
}

impl Act {
    /// The container's cgroup path and the capability, where one above the ceiling was asked for.
    pub fn capability_above_ceiling(&self) -> Option<(&str, u32)> {
        if self.rule.rule != Rule::CapabilityCeiling {
            return None;
        }
        let number = self.operation.iter().find_map(|(_, argument)| match argument {
            Argument::Name(name) => capability::number(name),
            Argument::Number(number) => u32::try_from(*number).ok(),
            _ => None,
        })?;
        let path = self.actor.container.as_ref()?.cgroup.as_ref()?;
        Some((path.as_str(), number))
    }
}

impl Target {
    fn new(target: &decode::Target, names: &dyn Names) -> Option<Self> {
        match target {
            decode::Target::None => None,
            decode::Target::Task(party) => Some(Self::Process(Box::new(Party::new(party, names)))),
            decode::Target::File(file) => Some(Self::File(Box::new(File::new(file, names)))),
        }
    }
}

impl Malformed {
    /// The event's part for a record of `length` bytes.
    pub fn new(error: &decode::DecodeError, length: usize) -> Self {
        Self { reason: error.reason(), message: error.to_string(), length }
    }
}

/// A time stamp that no calendar holds (only a broken record has one) is told as the last moment
/// that the calendar has.
fn wall_clock(boot: Timestamp, nanoseconds: u64) -> Timestamp {
    let since_boot = SignedDuration::from_nanos_i128(i128::from(nanoseconds));
    boot.saturating_add(since_boot).unwrap_or(Timestamp::MAX)
}

fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.9}"))
}

fn rule<S: Serializer>(rule: &&'static RuleInfo, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Told {
        rule: &'static str,
        title: &'static str,
        technique: &'static str,
    }
    Told { rule: rule.id, title: rule.title, technique: rule.technique }.serialize(serializer)
}

/// The words of the kernel interface; the interface itself knows no serde.
macro_rules! as_word {
    ($($name:ident: $type:ty,)+) => {$(
        fn $name<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(value.as_str())
        }
    )+};
}
as_word! {
    verdict: Verdict,
    effect: Effect,
    phase: Phase,
    rung: Rung,
    relation: Relation,
    severity: Severity,
}
