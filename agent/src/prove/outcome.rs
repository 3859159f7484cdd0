//! What came of one trial, from what the child said and what the kernel side said.

use bulkhead_abi::{Effect, Relation, Verdict};
use nix::errno::Errno;
use serde::Serialize;

use super::{behaviour::Behaviour, engine::Sighting, promise::Promise};

/// How the act itself ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// It was done; the error number is 0 where it went through.
    Done { before: u64, after: u64, errno: i32 },
    /// SIGKILL ended the child during the act.
    Killed { before: u64 },
    /// It could not be tried.
    Unavailable(String),
    /// The trial itself went wrong.
    Broken(String),
}

/// What a trial showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Refused by the guard, which said so.
    Blocked,
    /// Reported by the guard.
    Seen,
    /// Not refused, not reported, and rightly so.
    Allowed,
    /// Something else on this node refuses it before the guard is asked.
    RefusedElsewhere,
    /// This node does not have what the act needs.
    Unavailable,
    /// The guard said nothing.
    Missed,
    /// The guard spoke where it should have kept silent.
    FalseAlarm,
    /// The guard spoke, but named another relation than the true one.
    WrongRelation,
    /// The trial itself went wrong.
    Broken,
}

impl Outcome {
    pub(crate) const ALL: [Self; 9] = [
        Self::Blocked,
        Self::Seen,
        Self::Allowed,
        Self::RefusedElsewhere,
        Self::Unavailable,
        Self::Missed,
        Self::FalseAlarm,
        Self::WrongRelation,
        Self::Broken,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Seen => "seen",
            Self::Allowed => "allowed",
            Self::RefusedElsewhere => "refused elsewhere",
            Self::Unavailable => "unavailable",
            Self::Missed => "missed",
            Self::FalseAlarm => "false alarm",
            Self::WrongRelation => "wrong relation",
            Self::Broken => "broken",
        }
    }

    /// Whether the outcome is within the promise. More than was promised of a weak node is
    /// welcome; more than the policy's verdict asks for is not.
    pub(crate) fn keeps(self, promise: Promise, verdict: Verdict) -> bool {
        match self {
            // What this node refuses or lacks by itself neither keeps nor breaks a promise.
            Self::RefusedElsewhere | Self::Unavailable => true,
            Self::Blocked => verdict.refuses(),
            Self::Seen => !matches!(promise, Promise::Blocked | Promise::Allowed),
            Self::Allowed => promise == Promise::Allowed,
            Self::Missed => matches!(promise, Promise::PartlySeen | Promise::Nothing),
            Self::FalseAlarm | Self::WrongRelation | Self::Broken => false,
        }
    }
}

/// An outcome with its evidence.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    /// The verdict that decided it.
    pub(crate) sighting: Option<Sighting>,
    /// When the act began.
    pub(crate) before: Option<u64>,
    pub(crate) errno: i32,
    /// What a person should know besides.
    pub(crate) detail: String,
}

/// The verdicts of this act: those of the actor's cgroup between its beginning and its end.
pub(crate) fn of_act(act: &Act, cgroup: u64, sightings: &[Sighting]) -> Vec<Sighting> {
    let window = match act {
        Act::Done { before, after, .. } => *before..=*after,
        Act::Killed { before } => *before..=u64::MAX,
        Act::Unavailable(_) | Act::Broken(_) => return Vec::new(),
    };
    let ours = |seen: &&Sighting| seen.cgroup == cgroup && window.contains(&seen.time);
    sightings.iter().filter(ours).copied().collect()
}

/// Whether only another run, without a guard, can tell who refused the act.
pub(crate) fn needs_comparison(finding: &Finding) -> bool {
    finding.sighting.is_none() && is_refusal(finding.errno)
}

/// What a trial under `promise` showed. `seen` are the verdicts of this act alone.
pub(crate) fn find(
    behaviour: &Behaviour,
    relation: Relation,
    promise: Promise,
    act: &Act,
    seen: &[Sighting],
) -> Finding {
    let (before, errno, killed) = match act {
        Act::Done { before, errno, .. } => (*before, *errno, false),
        Act::Killed { before } => (*before, 0, true),
        Act::Unavailable(reason) => return untried(Outcome::Unavailable, reason),
        Act::Broken(reason) => return untried(Outcome::Broken, reason),
    };
    let finding = |outcome, sighting, detail: String| Finding {
        outcome,
        sighting,
        before: Some(before),
        errno,
        detail,
    };
    let Some(sighting) = deciding(behaviour, relation, seen) else {
        let absent = errno == Errno::ENOSYS as i32;
        return match promise {
            _ if absent => finding(Outcome::Unavailable, None, told(errno)),
            _ if killed => finding(Outcome::Broken, None, "killed, and nobody says by whom".into()),
            Promise::Allowed if !is_refusal(errno) => {
                finding(Outcome::Allowed, None, told_if_failed(errno))
            }
            // Nobody said so, but it was refused: the comparison tells by whom.
            _ if is_refusal(errno) => finding(Outcome::RefusedElsewhere, None, told(errno)),
            _ => finding(Outcome::Missed, None, told(errno)),
        };
    };
    let refused =
        sighting.effect == Effect::Denied && (killed || behaviour.silent || is_refusal(errno));
    let (outcome, detail) = if promise == Promise::Allowed {
        (Outcome::FalseAlarm, format!("{:?}: {}", sighting.rule, told(errno)))
    } else if sighting.rule == behaviour.rule && sighting.relation != relation {
        let named = sighting.relation.as_str();
        (Outcome::WrongRelation, format!("reported as {named}"))
    } else if refused {
        (Outcome::Blocked, if killed { "killed".into() } else { String::new() })
    } else if sighting.effect == Effect::Denied {
        (Outcome::Broken, format!("reported as refused, but {}", told(errno)))
    } else {
        (Outcome::Seen, told_if_failed(errno))
    };
    finding(outcome, Some(sighting), detail)
}

/// The verdict that speaks for the trial: of the behaviour's own rule where there is one, in the
/// right relation where there is one, a refusal first.
fn deciding(behaviour: &Behaviour, relation: Relation, seen: &[Sighting]) -> Option<Sighting> {
    // The ceiling is not the rule on trial, but a refusal is a refusal.
    let counts = |seen: &&Sighting| seen.rule == behaviour.rule || seen.effect == Effect::Denied;
    seen.iter().filter(counts).copied().min_by_key(|seen| {
        (seen.rule != behaviour.rule, seen.relation != relation, seen.effect != Effect::Denied)
    })
}

/// After the same act went through without a guard, a refusal that nobody reported is the
/// guard's, and silent.
pub(crate) fn compare(finding: &mut Finding, without_guard: &Act) {
    if let Act::Done { errno, .. } = without_guard
        && !is_refusal(*errno)
    {
        finding.outcome = Outcome::Missed;
        finding.detail = format!("refused without a report ({})", told(finding.errno));
    }
}

fn untried(outcome: Outcome, reason: &str) -> Finding {
    Finding { outcome, sighting: None, before: None, errno: 0, detail: reason.to_owned() }
}

fn is_refusal(errno: i32) -> bool {
    errno == Errno::EPERM as i32 || errno == Errno::EACCES as i32
}

fn told(errno: i32) -> String {
    if errno == 0 { "it went through".into() } else { Errno::from_raw(errno).desc().to_lowercase() }
}

fn told_if_failed(errno: i32) -> String {
    if errno == 0 { String::new() } else { told(errno) }
}

#[cfg(test)]
mod tests;
