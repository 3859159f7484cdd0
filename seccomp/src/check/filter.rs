//! What can be told from the compiled filter alone.

use std::collections::BTreeMap;

use super::{CheckError, Finding};
use crate::{
    calls::{self, Arch, Known},
    compile::compile,
    probe,
    profile::Profile,
    simulate::Simulation,
};

/// Arguments of which the kernel reads the lower 32 bits only: `int` and `unsigned int` in the
/// calls' own declarations (linux/syscalls.h).
const READ_AS_32_BITS: [(&str, &[usize]); 8] = [
    ("socket", &[0, 1, 2]),
    ("socketpair", &[0, 1, 2]),
    ("personality", &[0]),
    ("prctl", &[0]),
    ("ioctl", &[1]),
    ("fcntl", &[1]),
    ("keyctl", &[0]),
    ("bpf", &[0]),
];

pub(super) fn findings(
    profile: &Profile,
    simulation: &Simulation,
) -> Result<Vec<Finding>, CheckError> {
    let mut found = without_effect(profile)?;
    found.extend(upper_bits(simulation)?);
    found.extend(hidden_behind_socketcall(simulation)?);
    Ok(found)
}

/// Rules that change nothing: another rule for the same call is before them, or swallows them.
fn without_effect(profile: &Profile) -> Result<Vec<Finding>, CheckError> {
    let mut rules: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, rule) in profile.rules.iter().enumerate() {
        if rule.action == profile.default_action {
            continue;
        }
        for name in rule.names.iter().filter(|name| calls::known(name) == Known::Compiled) {
            rules.entry(name).or_default().push(index);
        }
    }
    let mut idle: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (name, indexes) in rules.iter().filter(|(_, indexes)| indexes.len() > 1) {
        // A hostile profile may have thousands for one name; each one is compiled by itself.
        for skipped in indexes.iter().take(64) {
            if is_same_without(profile, name, indexes, *skipped)? {
                idle.entry(*skipped).or_default().push(name);
            }
        }
    }
    Ok(idle
        .into_iter()
        .map(|(index, names)| {
            let message = format!(
                "for {} this rule changes nothing: other rules for the same call decide before it",
                names.join(", ")
            );
            Finding::warning("no-effect", format!("syscalls[{index}]"), message)
        })
        .collect())
}

/// Whether the filter of one call's rules is the same without one of them.
fn is_same_without(
    profile: &Profile,
    name: &str,
    indexes: &[usize],
    skipped: usize,
) -> Result<bool, CheckError> {
    let only = |keep: &dyn Fn(usize) -> bool| {
        let mut part = Profile { rules: Vec::new(), ..profile.clone() };
        for index in indexes.iter().copied().filter(|index| keep(*index)) {
            if let Some(rule) = profile.rules.get(index) {
                part.rules.push(crate::Rule { names: vec![name.to_owned()], ..rule.clone() });
            }
        }
        compile(&part, Arch::native())
    };
    Ok(only(&|_| true)?.filter == only(&|index| index != skipped)?.filter)
}

/// Calls that are refused for a value and allowed for the same value with an upper bit set, which
/// the kernel does not look at.
fn upper_bits(simulation: &Simulation) -> Result<Vec<Finding>, CheckError> {
    let mut found = Vec::new();
    for (call, arguments) in READ_AS_32_BITS {
        let asked = probe::questions(&[simulation.profile()], call);
        let mut through = None;
        for question in &asked.arguments {
            for index in arguments.iter().filter(|index| asked.compared.contains(index)) {
                let (mut low, mut high) = (*question, *question);
                if let (Some(low), Some(high)) = (low.get_mut(*index), high.get_mut(*index)) {
                    *low &= u64::from(u32::MAX);
                    *high = *low | 1 << 32;
                }
                let ask = |arguments| simulation.ask(Arch::native(), call, arguments);
                let (Some(refused), Some(allowed)) = (ask(low)?, ask(high)?) else { continue };
                if !refused.action.may_execute() && allowed.action.may_execute() {
                    through = through.or(low.get(*index).map(|value| (*index, *value)));
                }
            }
        }
        if let Some((index, value)) = through {
            let message = format!(
                "`{call}` with a{index}={value:#x} is refused, and allowed with an upper bit set \
                 ({:#x}), of which the kernel takes the same {value:#x}. Allow single values \
                 (SCMP_CMP_EQ), or compare with SCMP_CMP_MASKED_EQ",
                value | 1 << 32
            );
            found.push(Finding::error("upper-bits", ".", message));
        }
    }
    Ok(found)
}

/// Socket families that are refused and can be had by the 32-bit entry all the same.
fn hidden_behind_socketcall(simulation: &Simulation) -> Result<Vec<Finding>, CheckError> {
    let executes = |arch, call, arguments| -> Result<bool, CheckError> {
        let answer = simulation.ask(arch, call, arguments)?;
        Ok(answer.is_some_and(|answer| answer.action.may_execute()))
    };
    let mut hidden = Vec::new();
    if executes(Arch::X86, "socketcall", [1, 0, 0, 0, 0, 0])? {
        for (name, family) in [("AF_ALG", 38), ("AF_VSOCK", 40), ("AF_PACKET", 17)] {
            if !executes(Arch::X86_64, "socket", [family, 3, 0, 0, 0, 0])? {
                hidden.push(name);
            }
        }
    }
    if hidden.is_empty() {
        return Ok(Vec::new());
    }
    let message = format!(
        "{} cannot be made by `socket`, and can by the 32-bit `socketcall`, whose arguments no \
         filter sees. Take SCMP_ARCH_X86 out, or `socketcall`",
        hidden.join(", ")
    );
    Ok(vec![Finding::warning("socketcall", ".", message)])
}
