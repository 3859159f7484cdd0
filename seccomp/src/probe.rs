//! The argument values at which profiles may change their answer.
//!
//! Between two neighbouring values of a profile's own conditions the answer is one and the same, so
//! asking at those values, beside them, and with single bits of masks changed finds a difference
//! wherever two profiles differ in one argument.

use std::collections::BTreeSet;

use crate::profile::{Condition, Operator, Profile, Rule};

/// The most questions for one call.
const MAX_QUESTIONS: usize = 8192;

/// Questions for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions {
    /// The arguments to ask with.
    pub arguments: Vec<[u64; 6]>,
    /// Whether all combinations are among them.
    pub complete: bool,
    /// The arguments that any condition looks at.
    pub compared: BTreeSet<usize>,
}

/// What to ask of profiles about a call.
pub fn questions(profiles: &[&Profile], name: &str) -> Questions {
    let mut values: [BTreeSet<u64>; 6] = Default::default();
    for profile in profiles {
        let mut none_holds = [0_u64; 6];
        let named = |rule: &&Rule| rule.names.iter().any(|of_rule| of_rule == name);
        for condition in profile.rules.iter().filter(named).flat_map(|rule| &rule.args) {
            let index = usize::try_from(condition.index).unwrap_or(usize::MAX);
            if let (Some(values), Some(none)) = (values.get_mut(index), none_holds.get_mut(index)) {
                values.extend(around(condition));
                *none |= against(condition);
            }
        }
        for (values, none) in values.iter_mut().zip(none_holds) {
            if !values.is_empty() {
                values.insert(none);
            }
        }
    }
    let compared: BTreeSet<usize> =
        values.iter().enumerate().filter(|(_, set)| !set.is_empty()).map(|(at, _)| at).collect();
    let product = values.iter().map(|set| set.len().max(1)).try_fold(1_usize, usize::checked_mul);
    match product {
        Some(product) if product <= MAX_QUESTIONS => {
            Questions { arguments: all_combinations(&values), complete: true, compared }
        }
        _ => Questions { arguments: one_at_a_time(&values), complete: false, compared },
    }
}

/// The bits that a masked condition wants to be clear. All together are a value for which no condition on
/// single bits holds, if each wants its bit to be as it is not there: how a profile allows all values but one.
fn against(condition: &Condition) -> u64 {
    match condition.op {
        Operator::MaskedEqual => condition.value & !condition.value_two,
        _ => 0,
    }
}

fn around(condition: &Condition) -> BTreeSet<u64> {
    let mut values = BTreeSet::from([0, u64::from(u32::MAX), u64::MAX]);
    match condition.op {
        Operator::MaskedEqual => {
            let wanted = condition.value_two & condition.value;
            values.extend([wanted, wanted | !condition.value]);
            for bit in (0..64).map(|bit| 1_u64 << bit).filter(|bit| condition.value & bit != 0) {
                values.insert(wanted ^ bit);
            }
        }
        _ => {
            let value = condition.value;
            values.extend([value.saturating_sub(1), value, value.saturating_add(1)]);
            // The same number where the kernel reads 32 bits.
            values.insert(value | 1 << 32);
        }
    }
    values
}

fn all_combinations(values: &[BTreeSet<u64>; 6]) -> Vec<[u64; 6]> {
    let mut all = vec![[0; 6]];
    for (index, set) in values.iter().enumerate().filter(|(_, set)| !set.is_empty()) {
        let mut next = Vec::with_capacity(all.len() * set.len());
        for arguments in &all {
            for value in set {
                let mut arguments = *arguments;
                if let Some(argument) = arguments.get_mut(index) {
                    *argument = *value;
                }
                next.push(arguments);
            }
        }
        all = next;
    }
    all
}

/// Too many combinations: every value of each argument, with the smallest and the largest of the
/// others.
fn one_at_a_time(values: &[BTreeSet<u64>; 6]) -> Vec<[u64; 6]> {
    let ends = |pick: fn(&BTreeSet<u64>) -> Option<&u64>| {
        let mut arguments = [0; 6];
        for (argument, set) in arguments.iter_mut().zip(values) {
            *argument = pick(set).copied().unwrap_or_default();
        }
        arguments
    };
    let mut all = Vec::new();
    for base in [ends(BTreeSet::first), ends(BTreeSet::last)] {
        for (index, set) in values.iter().enumerate() {
            for value in set.iter().take(MAX_QUESTIONS) {
                let mut arguments = base;
                if let Some(argument) = arguments.get_mut(index) {
                    *argument = *value;
                }
                all.push(arguments);
            }
        }
    }
    all
}
