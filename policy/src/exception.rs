//! Declared exceptions: what one workload of a tenant may do although the tenant's level refuses it.
//!
//! An exception only loosens, only what it names, and never into silence: where the level refuses or
//! reports, the act goes on under the verdict `except`, which is counted and told. So what is declared
//! is no alarm at a level that only looks on, either.

use std::collections::BTreeSet;

use bulkhead_abi::{LevelTable, Relation, Rule, Verdict};
use jiff::civil::Date;

use crate::{
    catalogue::{self, Target},
    claim::NamePattern,
    policy::WorkloadFacts,
};

/// An exception of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) workload: ExceptedWorkload,
    pub(crate) rules: BTreeSet<(Rule, Relation)>,
    pub(crate) until: Option<Date>,
}

/// Which containers of the tenant: all that is named must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExceptedWorkload {
    pub(crate) namespace: Option<String>,
    pub(crate) pod: Option<NamePattern>,
    pub(crate) container: Option<String>,
    pub(crate) image: Option<String>,
}

impl Exception {
    /// Its name, unique in its tenant.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why there is one.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The rules and relations that it loosens.
    pub fn rules(&self) -> impl Iterator<Item = (Rule, Relation)> {
        self.rules.iter().copied()
    }

    /// The last day on which it holds, in UTC.
    pub fn until(&self) -> Option<Date> {
        self.until
    }

    /// Whether it holds on this day.
    pub fn holds_on(&self, today: Date) -> bool {
        self.until.is_none_or(|until| today <= until)
    }

    /// Which workload it is for, in a few words.
    pub fn workload(&self) -> String {
        let ExceptedWorkload { namespace, pod, container, image } = &self.workload;
        let pod = pod.as_ref().map(NamePattern::to_string);
        [
            ("namespace", namespace.as_deref()),
            ("pod", pod.as_deref()),
            ("container", container.as_deref()),
            ("image", image.as_deref()),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| format!("{key} {value}")))
        .collect::<Vec<_>>()
        .join(", ")
    }

    /// Whether this container of the tenant is the workload.
    pub(crate) fn fits(&self, facts: &WorkloadFacts<'_>) -> bool {
        let ExceptedWorkload { namespace, pod, container, image } = &self.workload;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(namespace, facts.namespace)
            && is(container, facts.container)
            && pod.as_ref().is_none_or(|pod| facts.pod.is_some_and(|name| pod.fits(name)))
            && image.as_deref().is_none_or(|digest| facts.image.is_some_and(|i| has(i, digest)))
    }

    /// The tenant's table as this workload has it.
    pub fn loosen(&self, mut table: LevelTable) -> LevelTable {
        for &(rule, relation) in &self.rules {
            // A rule without a target has its verdict in every column.
            let lone = catalogue::info(rule).target == Target::Nothing;
            for &column in Relation::ALL {
                let named = lone || column == relation;
                if named && table.verdict(rule, column) != Verdict::Off {
                    table.set(rule, column, Verdict::Except);
                }
            }
        }
        table
    }
}

/// Whether the runtime resolved the image by this digest: `name@digest`, or the digest itself.
fn has(image: &str, digest: &str) -> bool {
    image == digest || image.rsplit_once('@').is_some_and(|(_, found)| found == digest)
}

#[cfg(test)]
mod tests;
