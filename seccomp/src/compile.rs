//! Profile to filter, by libseccomp and in the way of the runtimes.

use std::{
    io::{Read, Seek},
    sync::Once,
};

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
    error::SeccompError,
};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::{
    bpf::{Filter, FilterError},
    calls::{self, Arch, Known},
    profile::{Action, Condition, Operator, Profile},
};

/// Why a profile could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// libseccomp refuses a rule.
    #[error("libseccomp refuses `{name}` in syscalls[{rule}]: {source}")]
    Rule {
        /// The rule's place in the profile.
        rule: usize,
        /// The call.
        name: String,
        /// What it says.
        source: SeccompError,
    },
    /// libseccomp refuses the whole.
    #[error("libseccomp cannot compile this profile: {0}")]
    Libseccomp(#[from] SeccompError),
    /// What it wrote could not be read back.
    #[error("cannot read the compiled filter")]
    Export(#[source] std::io::Error),
    /// What it wrote is no filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// What became of a profile.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The filter.
    pub filter: Filter,
    /// Names that libseccomp does not know. A runtime with the same libseccomp passes over them,
    /// so that the default action applies.
    pub skipped: Vec<String>,
}

/// Compiles for a node of `machine`, which is x86-64 or Arm64.
pub fn compile(profile: &Profile, machine: Arch) -> Result<Compiled, CompileError> {
    let (context, skipped) = build(profile, machine)?;
    Ok(Compiled { filter: Filter::from_bytes(&export(&context)?)?, skipped })
}

/// Builds libseccomp's own form of the filter: what a runtime loads. Loading is the caller's.
pub fn build(
    profile: &Profile,
    machine: Arch,
) -> Result<(ScmpFilterContext, Vec<String>), CompileError> {
    know_all_actions()?;
    let default = scmp_action(profile.default_action);
    let mut context = ScmpFilterContext::new(default)?;
    // The runtimes set it on the process, not in the filter.
    context.set_ctl_nnp(false)?;
    let native = ScmpArch::native();
    for arch in profile.covered(machine) {
        if !context.is_arch_present(arch.scmp())? {
            context.add_arch(arch.scmp())?;
        }
    }
    if native != machine.scmp() {
        context.remove_arch(native)?;
    }
    let mut skipped = Vec::new();
    for (index, rule) in profile.rules.iter().enumerate() {
        // As the runtimes do: what restates the default is no rule.
        if rule.action == profile.default_action {
            continue;
        }
        for name in &rule.names {
            if calls::known(name) != Known::Compiled {
                skipped.push(name.clone());
                continue;
            }
            let refused = |source| CompileError::Rule { rule: index, name: name.clone(), source };
            let call = ScmpSyscall::from_name(name).map_err(refused)?;
            for conditions in rule.alternatives() {
                let conditions: Vec<_> = conditions.iter().map(scmp_condition).collect();
                context
                    .add_rule_conditional(scmp_action(rule.action), call, &conditions)
                    .map_err(refused)?;
            }
        }
    }
    skipped.sort();
    skipped.dedup();
    Ok((context, skipped))
}

/// libseccomp's API level that has every action.
const API_OF_NOTIFY: u32 = 6;

/// By itself libseccomp offers what the kernel that it runs on can do. A profile is for the nodes.
fn know_all_actions() -> Result<(), SeccompError> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| {
        // Asking first has it find the number of seccomp(2), without which it could not load.
        let offered = libseccomp::get_api();
        if offered < API_OF_NOTIFY {
            result = libseccomp::set_api(API_OF_NOTIFY);
        }
    });
    result
}

/// libseccomp of this age writes filters to descriptors only.
fn export(context: &ScmpFilterContext) -> Result<Vec<u8>, CompileError> {
    let memory = memfd_create("bulkhead-filter", MFdFlags::MFD_CLOEXEC)
        .map_err(|error| CompileError::Export(error.into()))?;
    let mut file = std::fs::File::from(memory);
    context.export_bpf(&file)?;
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(CompileError::Export)?;
    Ok(bytes)
}

fn scmp_action(action: Action) -> ScmpAction {
    match action {
        Action::KillProcess => ScmpAction::KillProcess,
        Action::KillThread => ScmpAction::KillThread,
        Action::Trap => ScmpAction::Trap,
        Action::Errno(errno) => ScmpAction::Errno(i32::from(errno)),
        Action::Notify => ScmpAction::Notify,
        Action::Trace(message) => ScmpAction::Trace(message),
        Action::Log => ScmpAction::Log,
        Action::Allow => ScmpAction::Allow,
    }
}

fn scmp_condition(condition: &Condition) -> ScmpArgCompare {
    let Condition { index, value, value_two, op } = *condition;
    let (op, datum) = match op {
        Operator::NotEqual => (ScmpCompareOp::NotEqual, value),
        Operator::Less => (ScmpCompareOp::Less, value),
        Operator::LessOrEqual => (ScmpCompareOp::LessOrEqual, value),
        Operator::Equal => (ScmpCompareOp::Equal, value),
        Operator::GreaterOrEqual => (ScmpCompareOp::GreaterEqual, value),
        Operator::Greater => (ScmpCompareOp::Greater, value),
        Operator::MaskedEqual => (ScmpCompareOp::MaskedEqual(value), value_two),
    };
    ScmpArgCompare::new(index, op, datum)
}
