//! What a tenant's workloads are excepted from.

use std::collections::{BTreeSet, HashMap};

use bulkhead_abi::{Relation, Rule};

use super::is_label;
use crate::{
    catalogue::{self, Target},
    claim::NamePattern,
    configuration::{
        ExceptedRule, ExceptionDefinition, Fault, FieldPath, Problem, WorkloadDefinition,
    },
    exception::{ExceptedWorkload, Exception},
    level::unknown_rule,
};

/// A reason that fits on a line of a table.
const MAX_REASON: usize = 200;

pub(super) fn resolve(
    definitions: &[ExceptionDefinition],
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Vec<Exception> {
    let mut names: HashMap<&str, FieldPath> = HashMap::new();
    let mut all = Vec::new();
    for (index, definition) in definitions.iter().enumerate() {
        let path = path.key("exceptions").index(index);
        let name = definition.name.as_str();
        if !is_label(name) {
            problems.push(Problem::new(path.key("name"), Fault::BadName(name.to_owned())));
        } else if let Some(first) = names.get(name) {
            let (what, name, first) = ("exception", name.to_owned(), first.clone());
            let fault = Fault::DuplicateName { what, name, first };
            problems.push(Problem::new(path.key("name"), fault));
        }
        names.entry(name).or_insert_with(|| path.clone());
        all.extend(exception(definition, &path, problems));
    }
    all
}

fn exception(
    definition: &ExceptionDefinition,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Option<Exception> {
    let before = problems.len();
    let reason = definition.reason.trim();
    if reason.is_empty()
        || reason.chars().count() > MAX_REASON
        || reason.chars().any(char::is_control)
    {
        problems.push(Problem::new(path.key("reason"), Fault::BadReason { most: MAX_REASON }));
    }
    let workload = workload(&definition.workload, &path.key("workload"), problems);
    let rules = rules(definition, &path.key("rules"), problems);
    let until = definition.until.as_ref().and_then(|text| {
        let date = text.parse().ok();
        if date.is_none() {
            problems.push(Problem::new(path.key("until"), Fault::BadDate(text.clone())));
        }
        date
    });
    (problems.len() == before).then(|| Exception {
        name: definition.name.clone(),
        reason: reason.to_owned(),
        workload,
        rules,
        until,
    })
}

fn workload(
    definition: &WorkloadDefinition,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) -> ExceptedWorkload {
    let WorkloadDefinition { namespace, pod, container, image } = definition;
    if pod.is_none() && container.is_none() && image.is_none() {
        problems.push(Problem::new(path.clone(), Fault::EmptyWorkload));
    }
    let pattern = pod.as_deref().and_then(|text| {
        let pattern = NamePattern::parse(text);
        if pattern.is_none() {
            problems.push(Problem::new(path.key("pod"), Fault::BadPod(text.to_owned())));
        }
        pattern
    });
    for (key, name) in [("namespace", namespace), ("container", container)] {
        if let Some(name) = name.as_ref().filter(|name| !is_label(name)) {
            problems.push(Problem::new(path.key(key), Fault::BadName(name.clone())));
        }
    }
    if let Some(image) = image.as_ref().filter(|image| !is_digest(image)) {
        problems.push(Problem::new(path.key("image"), Fault::BadDigest(image.clone())));
    }
    ExceptedWorkload {
        namespace: namespace.clone(),
        pod: pattern,
        container: container.clone(),
        image: image.clone(),
    }
}

fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn rules(
    definition: &ExceptionDefinition,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) -> BTreeSet<(Rule, Relation)> {
    if definition.rules.is_empty() {
        problems.push(Problem::new(path.clone(), Fault::EmptyException));
    }
    let mut all = BTreeSet::new();
    for (id, excepted) in &definition.rules {
        let path = path.key(id);
        let Some(row) = catalogue::by_id(id) else {
            problems.push(unknown_rule(id, &path));
            continue;
        };
        match excepted {
            ExceptedRule::Every(_) => {
                all.extend(row.target.relations().iter().map(|relation| (row.rule, *relation)));
            }
            ExceptedRule::Towards(_) if row.target == Target::Nothing => {
                problems.push(Problem::new(path, Fault::NoRelationsToExcept(row.id)));
            }
            ExceptedRule::Towards(relations) => {
                all.extend(relations.iter().map(|word| (row.rule, Relation::from(*word))));
            }
        }
    }
    all
}
