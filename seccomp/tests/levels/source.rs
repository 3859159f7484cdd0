//! `profiles/seccomp/rules.yaml` to profiles.

use std::collections::BTreeMap;

use bulkhead_seccomp::{
    Action, Profile, Rule,
    profile::{ArchName, Condition, EPERM, Operator},
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) levels: BTreeMap<String, Vec<String>>,
    rules: Vec<SourceRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceRule {
    r#for: String,
    calls: Vec<String>,
    #[serde(default)]
    r#in: Vec<String>,
    #[serde(default)]
    when: Vec<Vec<String>>,
    #[serde(default)]
    except: Option<Except>,
    #[serde(default)]
    errno: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Except {
    argument: u32,
    value: u32,
}

impl Source {
    pub(crate) fn read() -> Self {
        let text = include_str!("../../../profiles/seccomp/rules.yaml");
        serde_saphyr::from_str(text).unwrap()
    }

    /// The profile of a level.
    pub(crate) fn profile(&self, level: &str) -> Profile {
        let mut profile = Profile::new(Action::Errno(EPERM));
        profile.architectures = self.levels[level].iter().cloned().map(ArchName).collect();
        for rule in &self.rules {
            assert!(
                rule.r#in.iter().all(|level| self.levels.contains_key(level)),
                "{}",
                rule.r#for
            );
            if rule.r#in.is_empty() || rule.r#in.iter().any(|name| name == level) {
                profile.rules.extend(rule.rules());
            }
        }
        profile
    }
}

impl SourceRule {
    fn rules(&self) -> Vec<Rule> {
        let action = self.errno.map_or(Action::Allow, Action::Errno);
        let plain = Rule::of(action, self.calls.iter().cloned(), &self.r#for);
        let mut sets: Vec<Vec<Condition>> =
            self.when.iter().map(|set| set.iter().map(|text| condition(text)).collect()).collect();
        if let Some(except) = &self.except {
            sets.extend(except.conditions().into_iter().map(|condition| vec![condition]));
        }
        if sets.is_empty() {
            return vec![plain];
        }
        let first = |index| if index == 0 { self.r#for.clone() } else { "As above".to_owned() };
        sets.into_iter()
            .enumerate()
            .map(|(index, args)| Rule { args, comment: first(index), ..plain.clone() })
            .collect()
    }
}

impl Except {
    /// A number differs from the value if one of its bits does.
    fn conditions(&self) -> Vec<Condition> {
        (0..32)
            .map(|bit| 1_u64 << bit)
            .map(|bit| Condition {
                index: self.argument,
                value: bit,
                value_two: !u64::from(self.value) & bit,
                op: Operator::MaskedEqual,
            })
            .collect()
    }
}

/// `a0 == 1`, `a2 < 132`, `a0 & 0xf == 1`
fn condition(text: &str) -> Condition {
    let words: Vec<_> = text.split(' ').collect();
    let number = |word: &str| match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
        None => word.parse().unwrap(),
    };
    let index = words[0].strip_prefix('a').unwrap().parse().unwrap();
    let (op, value, value_two) = match words[1..] {
        ["==", value] => (Operator::Equal, number(value), 0),
        ["<", value] => (Operator::Less, number(value), 0),
        ["&", mask, "==", value] => (Operator::MaskedEqual, number(mask), number(value)),
        _ => panic!("no condition: {text}"),
    };
    Condition { index, value, value_two, op }
}
