//! A profile tried out: what it would refuse of what was seen, and a softer form of it to run with.

use serde::Serialize;

use super::observed::{Observed, WATCHED};
use crate::{
    bpf::FilterError,
    calls::{self, Arch},
    probe,
    profile::{Action, ENOSYS, Profile, Rule},
    simulate::Simulation,
};

/// A call that was seen and that a profile would refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WouldRefuse {
    /// The call.
    pub call: String,
    /// Its architecture.
    pub architecture: Arch,
    /// How often it was seen.
    pub count: u64,
    /// The first argument with which it is refused, where others pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// What the profile does.
    pub answer: String,
}

/// What a profile would refuse of what was seen. A call counts as refused if it is with whatever
/// arguments; those whose first argument was kept, with that.
pub fn would_refuse(
    observed: &Observed,
    profile: &Simulation,
) -> Result<Vec<WouldRefuse>, FilterError> {
    let mut refused = Vec::new();
    for ((arch, number), count) in &observed.calls {
        let name = calls::name(*arch, *number);
        let call = name.map_or_else(|| format!("number {number}"), str::to_owned);
        let mut add = |value, action: Action| {
            let (call, answer) = (call.clone(), action.to_string());
            refused.push(WouldRefuse { call, architecture: *arch, count: *count, value, answer });
        };
        let Some(name) = name else {
            add(None, profile.ask_number(*arch, *number, [0; 6])?);
            continue;
        };
        let values = WATCHED
            .iter()
            .find(|(call, _)| *call == name)
            .and_then(|(_, index)| observed.values.get(&(*arch, *number, *index)));
        match values {
            Some(values) => {
                for value in values {
                    if let Some(action) = refused_always(profile, *arch, name, Some(*value))? {
                        add(Some(*value), action);
                    }
                }
            }
            None => {
                if let Some(action) = refused_always(profile, *arch, name, None)? {
                    add(None, action);
                }
            }
        }
    }
    Ok(refused)
}

/// What the profile does with the call, if it is made with no arguments at all.
fn refused_always(
    profile: &Simulation,
    arch: Arch,
    name: &str,
    first: Option<u64>,
) -> Result<Option<Action>, FilterError> {
    let mut last = None;
    for mut arguments in probe::questions(&[profile.profile()], name).arguments {
        if let (Some(value), Some(argument)) = (first, arguments.first_mut()) {
            *argument = value;
        }
        let Some(answer) = profile.ask(arch, name, arguments)? else { return Ok(None) };
        if answer.most().executes() {
            return Ok(None);
        }
        last = Some(answer.action);
    }
    Ok(last)
}

/// A form of the profile to try it with: what it refuses and the level allows is made, and logged by
/// the kernel. What the level refuses stays refused: nothing is loosened for a trial.
pub fn relaxed(profile: &Profile, level: &Profile) -> Profile {
    let allowed = |name: &String| {
        let mut rules = profile.rules.iter().filter(|rule| rule.names.contains(name));
        rules.any(|rule| rule.action.executes() && rule.args.is_empty())
    };
    let mut relaxed = Profile { rules: Vec::new(), ..level.clone() };
    for rule in &level.rules {
        if !rule.action.executes() {
            relaxed.rules.push(rule.clone());
            continue;
        }
        let (kept, logged): (Vec<_>, Vec<_>) = rule.names.iter().cloned().partition(allowed);
        for (names, action) in [(kept, Action::Allow), (logged, Action::Log)] {
            if !names.is_empty() {
                relaxed.rules.push(Rule { names, action, ..rule.clone() });
            }
        }
    }
    // Programs fall back on older calls at ENOSYS, and must be seen to.
    let fallback = profile.rules.iter().filter(|rule| rule.action == Action::Errno(ENOSYS));
    for rule in fallback {
        let names: Vec<_> =
            rule.names.iter().filter(|name| !named(&relaxed, name)).cloned().collect();
        if !names.is_empty() {
            relaxed.rules.push(Rule { names, ..rule.clone() });
        }
    }
    relaxed
}

/// A form of the profile whose refusals by name are told to whoever listens on `socket`. Errors on
/// which programs fall back (ENOSYS) stay with the kernel: they are no offence.
pub fn told(profile: &Profile, socket: &str) -> Profile {
    let mut told = Profile { listener_path: Some(socket.to_owned()), ..profile.clone() };
    for rule in &mut told.rules {
        if rule.args.is_empty() && matches!(rule.action, Action::Errno(errno) if errno != ENOSYS) {
            rule.action = Action::Notify;
            rule.errno_given = false;
        }
    }
    told
}

fn named(profile: &Profile, name: &String) -> bool {
    profile.rules.iter().any(|rule| rule.names.contains(name))
}
