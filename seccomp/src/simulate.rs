//! What a profile answers to a call: the compiled filter, asked.

use std::collections::BTreeMap;

use crate::{
    bpf::{Call, FilterError},
    calls::{self, Arch, Known},
    compile::{CompileError, Compiled, compile},
    profile::{Action, ENOSYS, Profile},
};

/// What a profile answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What a node with the libseccomp of this machine does.
    pub action: Action,
    /// What a node does whose libseccomp knows the call, where this one does not.
    pub newer: Option<Action>,
}

impl Answer {
    /// The more permissive of the two.
    pub fn most(self) -> Action {
        match self.newer {
            Some(newer) if newer.may_execute() && !self.action.executes() => newer,
            _ => self.action,
        }
    }
}

/// A profile, compiled for the nodes of both kinds.
#[derive(Clone, Debug)]
pub struct Simulation {
    profile: Profile,
    x86_64: Compiled,
    aarch64: Compiled,
    /// The highest number that a rule names, by architecture.
    last: BTreeMap<Arch, u32>,
}

impl Simulation {
    /// Compiles.
    pub fn of(profile: &Profile) -> Result<Self, CompileError> {
        let mut last = BTreeMap::new();
        for name in profile.rules.iter().flat_map(|rule| &rule.names) {
            for arch in Arch::ALL {
                if calls::known(name) == Known::Compiled
                    && let Some(number) = calls::number(arch, name)
                {
                    let highest = last.entry(arch).or_insert(number);
                    *highest = number.max(*highest);
                }
            }
        }
        Ok(Self {
            x86_64: compile(profile, Arch::X86_64)?,
            aarch64: compile(profile, Arch::Aarch64)?,
            profile: profile.clone(),
            last,
        })
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The filter of a node of this kind.
    pub fn compiled(&self, machine: Arch) -> &Compiled {
        if machine.machine() == Arch::Aarch64 { &self.aarch64 } else { &self.x86_64 }
    }

    /// Whether programs of an architecture can make calls at all.
    pub fn covers(&self, arch: Arch) -> bool {
        self.profile.covered(arch.machine()).contains(&arch)
    }

    /// Asks the filter.
    pub fn ask_number(
        &self,
        arch: Arch,
        number: u32,
        arguments: [u64; 6],
    ) -> Result<Action, FilterError> {
        let call = Call { arch: arch.audit(), number, arguments };
        Ok(action_of(self.compiled(arch).filter.run(&call)?))
    }

    /// Asks the filter by name; nothing where the architecture has no such call.
    pub fn ask(
        &self,
        arch: Arch,
        name: &str,
        arguments: [u64; 6],
    ) -> Result<Option<Answer>, FilterError> {
        let Some(number) = calls::number(arch, name) else { return Ok(None) };
        let action = self.ask_number(arch, number, arguments)?;
        let newer = (calls::known(name) == Known::NewerThanLibseccomp && self.covers(arch))
            .then(|| self.declared(name, &arguments))
            .filter(|declared| *declared != action);
        Ok(Some(Answer { action, newer }))
    }

    /// What the rules say, read one by one: for calls that libseccomp here cannot compile.
    fn declared(&self, name: &str, arguments: &[u64; 6]) -> Action {
        let fits = |rule: &&crate::Rule| {
            rule.names.iter().any(|of_rule| of_rule == name)
                && rule
                    .alternatives()
                    .iter()
                    .any(|all| all.iter().all(|condition| condition.holds(arguments)))
        };
        self.profile.rules.iter().find(fits).map_or(self.profile.default_action, |rule| rule.action)
    }

    /// Whether runc answers ENOSYS instead of the default action: for calls newer than any that
    /// the profile names, so that programs fall back on older ones. crun does not.
    pub fn is_newer_than_the_profile(&self, arch: Arch, number: u32) -> bool {
        let refuses = !self.profile.default_action.executes()
            && self.profile.default_action != Action::Errno(ENOSYS);
        refuses && self.last.get(&arch).is_some_and(|last| number > *last)
    }
}

/// linux/seccomp.h: SECCOMP_RET_*.
fn action_of(value: u32) -> Action {
    let data = (value & 0xffff) as u16;
    match value & 0xffff_0000 {
        0x7fff_0000 => Action::Allow,
        0x7ffc_0000 => Action::Log,
        0x7ff0_0000 => Action::Trace(data),
        0x7fc0_0000 => Action::Notify,
        0x0005_0000 => Action::Errno(data),
        0x0003_0000 => Action::Trap,
        0x0000_0000 => Action::KillThread,
        // To the kernel, too, what it does not know is a kill.
        _ => Action::KillProcess,
    }
}
