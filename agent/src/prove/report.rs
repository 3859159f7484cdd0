//! What `prove` found, as one JSON document and for a person.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{outcome::Outcome, trial::Trial};

pub(crate) mod text;

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    pub(crate) version: &'static str,
    pub(crate) kernel: String,
    pub(crate) levels: Vec<LevelReport>,
    /// Behaviours tried, each counted once however often it was tried.
    pub(crate) behaviours: usize,
    pub(crate) conclusion: Conclusion,
}

/// What the whole run comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Conclusion {
    /// Every behaviour as its level promises.
    AsPromised,
    /// Something was missed or went wrong.
    Wrong,
    /// As much as this node can do, which is less than the levels ask for.
    NodeCannotEnforce,
}

impl Conclusion {
    /// The exit status.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::AsPromised => 0,
            Self::Wrong => 2,
            Self::NodeCannotEnforce => 3,
        }
    }
}

/// One level's part.
#[derive(Debug, Serialize)]
pub(crate) struct LevelReport {
    pub(crate) level: String,
    pub(crate) trials: Vec<Row>,
    pub(crate) summary: Summary,
}

/// One trial, told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) behaviour: &'static str,
    pub(crate) row: &'static str,
    pub(crate) what: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) relation: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) rung: &'static str,
    pub(crate) promise: super::promise::Promise,
    pub(crate) outcome: Outcome,
    pub(crate) as_promised: bool,
    /// A node that can refuse in the kernel would promise more.
    pub(crate) lowered: bool,
    /// The rule that decided, where it was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decided_by: Option<&'static str>,
    /// From the act to the kernel side's record, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen_after_ns: Option<u64>,
    /// From the act to the record in the agent's hands, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) received_after_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) errno: Option<i32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// One level in numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Trials by outcome.
    pub(crate) outcomes: BTreeMap<Outcome, usize>,
    pub(crate) not_as_promised: usize,
    pub(crate) lowered: usize,
    pub(crate) seen_after: Option<Latency>,
    pub(crate) received_after: Option<Latency>,
}

/// Of the trials that have one, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Latency {
    pub(crate) median_ns: u64,
    pub(crate) max_ns: u64,
}

impl Row {
    fn of(trial: &Trial) -> Self {
        let finding = &trial.finding;
        let since = |time: fn(&super::engine::Sighting) -> u64| {
            Some(time(finding.sighting.as_ref()?).saturating_sub(finding.before?))
        };
        let other_rule = |seen: &super::engine::Sighting| seen.rule != trial.behaviour.rule;
        Self {
            behaviour: trial.behaviour.name,
            row: trial.behaviour.row,
            what: trial.behaviour.what,
            rule: super::rule_id(trial.behaviour.rule),
            relation: trial.relation.as_str(),
            verdict: trial.verdict.as_str(),
            rung: trial.rung.as_str(),
            promise: trial.promise,
            outcome: finding.outcome,
            as_promised: trial.keeps_promise(),
            lowered: trial.lowered(),
            decided_by: finding.sighting.filter(other_rule).map(|seen| super::rule_id(seen.rule)),
            seen_after_ns: since(|seen| seen.time),
            received_after_ns: since(|seen| seen.received),
            errno: Some(finding.errno).filter(|errno| *errno != 0),
            detail: finding.detail.clone(),
        }
    }
}

impl LevelReport {
    pub(crate) fn new(level: String, trials: &[Trial]) -> Self {
        let trials: Vec<_> = trials.iter().map(Row::of).collect();
        let summary = Summary::of(&trials);
        Self { level, trials, summary }
    }
}

impl Summary {
    fn of(rows: &[Row]) -> Self {
        let mut outcomes = BTreeMap::new();
        for row in rows {
            *outcomes.entry(row.outcome).or_default() += 1;
        }
        Self {
            outcomes,
            not_as_promised: rows.iter().filter(|row| !row.as_promised).count(),
            lowered: rows.iter().filter(|row| row.lowered).count(),
            seen_after: Latency::of(rows.iter().filter_map(|row| row.seen_after_ns)),
            received_after: Latency::of(rows.iter().filter_map(|row| row.received_after_ns)),
        }
    }
}

impl Latency {
    fn of(times: impl Iterator<Item = u64>) -> Option<Self> {
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        let median_ns = *times.get(times.len().checked_sub(1)? / 2)?;
        Some(Self { median_ns, max_ns: *times.last()? })
    }
}

impl Document {
    pub(crate) fn new(kernel: String, levels: Vec<LevelReport>) -> Self {
        let names: std::collections::BTreeSet<_> =
            levels.iter().flat_map(|level| &level.trials).map(|row| row.behaviour).collect();
        let behaviours = names.len();
        let total = |count: fn(&Summary) -> usize| -> usize {
            levels.iter().map(|level| count(&level.summary)).sum()
        };
        let conclusion = if total(|summary| summary.not_as_promised) > 0 {
            Conclusion::Wrong
        } else if total(|summary| summary.lowered) > 0 {
            Conclusion::NodeCannotEnforce
        } else {
            Conclusion::AsPromised
        };
        Self { version: env!("CARGO_PKG_VERSION"), kernel, levels, behaviours, conclusion }
    }
}

#[cfg(test)]
mod tests;
