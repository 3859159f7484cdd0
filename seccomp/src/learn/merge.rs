//! Profiles into one that allows what any of them allows: over replicas, and over runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::profile::{Action, Condition, Profile, Rule};

/// Why profiles cannot be merged.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("there is nothing to merge")]
    Nothing,
    /// What one leaves to its default cannot be told from what it allows.
    #[error("profile {0} allows by default: only profiles that refuse by default can be merged")]
    Permissive(usize),
    /// Different refusals.
    #[error("profile {0} refuses by default in another way than the first")]
    Default(usize),
}

/// What one call may do, and why.
#[derive(Default)]
struct Allowed {
    /// With any arguments.
    always: bool,
    /// With these.
    conditions: BTreeSet<Vec<Condition>>,
    comment: String,
}

/// Merges profiles that refuse by default. What any allows is allowed; what is refused by a rule of
/// its own in all that name it stays so.
pub fn merge(profiles: &[Profile]) -> Result<Profile, MergeError> {
    let first = profiles.first().ok_or(MergeError::Nothing)?;
    let mut merged = Profile { rules: Vec::new(), ..first.clone() };
    let mut allowed: BTreeMap<String, Allowed> = BTreeMap::new();
    let mut refused: BTreeMap<String, (Action, String)> = BTreeMap::new();
    for (index, profile) in profiles.iter().enumerate() {
        if profile.default_action.executes() {
            return Err(MergeError::Permissive(index));
        }
        if profile.default_action != first.default_action {
            return Err(MergeError::Default(index));
        }
        for name in &profile.architectures {
            if !merged.architectures.contains(name) {
                merged.architectures.push(name.clone());
            }
        }
        for rule in &profile.rules {
            for name in &rule.names {
                if rule.action.executes() {
                    allow(allowed.entry(name.clone()).or_default(), rule);
                } else {
                    refused.entry(name.clone()).or_insert((rule.action, rule.comment.clone()));
                }
            }
        }
    }
    refused.retain(|name, _| !allowed.contains_key(name));
    merged.rules = rules(allowed, refused);
    Ok(merged)
}

fn allow(allowed: &mut Allowed, rule: &Rule) {
    for conditions in rule.alternatives() {
        if conditions.is_empty() {
            allowed.always = true;
        } else {
            allowed.conditions.insert(conditions);
        }
    }
    if allowed.comment.is_empty() {
        allowed.comment.clone_from(&rule.comment);
    }
}

/// Rules again: one for all calls of one comment, one for each set of conditions.
fn rules(
    allowed: BTreeMap<String, Allowed>,
    refused: BTreeMap<String, (Action, String)>,
) -> Vec<Rule> {
    let mut plain: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut conditional = Vec::new();
    for (name, allowed) in allowed {
        if allowed.always {
            plain.entry(allowed.comment).or_default().push(name);
            continue;
        }
        for args in allowed.conditions {
            let rule = Rule::of(Action::Allow, [name.clone()], &allowed.comment);
            conditional.push(Rule { args, ..rule });
        }
    }
    let mut refusals: BTreeMap<(Action, String), Vec<String>> = BTreeMap::new();
    for (name, why) in refused {
        refusals.entry(why).or_default().push(name);
    }
    let plain = plain.into_iter().map(|(comment, names)| Rule::of(Action::Allow, names, &comment));
    let refusals =
        refusals.into_iter().map(|((action, comment), names)| Rule::of(action, names, &comment));
    plain.chain(conditional).chain(refusals).collect()
}
