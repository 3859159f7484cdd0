//! What can be told from the profile as it is written.

use super::Finding;
use crate::{
    calls::{self, Arch, Known},
    profile::{Action, Condition, EPERM, Operator, Profile},
};

pub(super) fn findings(profile: &Profile) -> Vec<Finding> {
    let mut found = Vec::new();
    defaults(profile, &mut found);
    architectures(profile, &mut found);
    listener(profile, &mut found);
    for (index, rule) in profile.rules.iter().enumerate() {
        let field = format!("syscalls[{index}]");
        names(&rule.names, &field, &mut found);
        if rule.is_conditional_on_the_container() {
            found.push(moby(&field, rule.action));
        }
        for condition in &rule.args {
            found.extend(beyond_its_mask(condition, &field));
        }
        if rule.repeats_an_argument() {
            let message =
                "one argument is compared twice: the runtimes then take all conditions of \
                           the rule apart, and any one of them is enough"
                    .to_owned();
            found.push(Finding::warning("or-conditions", &field, message));
        }
    }
    found
}

/// Read by itself such a condition never holds. libseccomp drops the bits, and it holds.
fn beyond_its_mask(condition: &Condition, field: &str) -> Option<Finding> {
    let beyond = condition.value_two & !condition.value;
    (condition.op == Operator::MaskedEqual && beyond != 0).then(|| {
        let message = format!(
            "`{condition}` looks for bits that its mask takes away ({beyond:#x}): libseccomp drops \
             them and compares the rest"
        );
        Finding::warning("beyond-mask", field, message)
    })
}

fn defaults(profile: &Profile, found: &mut Vec<Finding>) {
    if profile.default_action.executes() {
        let message = "every call that no rule names is allowed, calls of future kernels among \
                       them: refuse by default and name what is needed"
            .to_owned();
        found.push(Finding::error("default-allow", "defaultAction", message));
    }
    if let Action::Errno(errno) = profile.default_action
        && profile.default_errno_given
        && errno != EPERM
    {
        let message = format!(
            "handed on through NRI the profile loses this: refused calls then return EPERM, not \
             errno {errno}. Give the rules that depend on it an `errnoRet` of their own"
        );
        found.push(Finding::warning("errno-dropped-by-nri", "defaultErrnoRet", message));
    }
}

fn architectures(profile: &Profile, found: &mut Vec<Finding>) {
    if !profile.arch_map.is_empty() {
        let message = "moby's form: the runtimes of Kubernetes do not read it. List all in \
                       `architectures`"
            .to_owned();
        found.push(Finding::warning("moby-form", "archMap", message));
    }
    for (machine, below) in [(Arch::X86_64, Arch::X86), (Arch::Aarch64, Arch::Arm)] {
        let covered = profile.covered(machine);
        let listed = profile.architectures.iter().any(|name| name.arch() == Some(machine));
        if !profile.architectures.is_empty() && !listed {
            let message = format!(
                "{} is missing. The runtimes add a node's own architecture; say so all the same",
                machine.oci_name()
            );
            found.push(Finding::note("missing-architecture", "architectures", message));
        }
        if !covered.contains(&below) {
            let message = format!(
                "without {} a 32-bit program on {machine} is killed at its first call. Where that \
                 is meant, this is as it should be",
                below.oci_name()
            );
            found.push(Finding::note("no-32-bit", "architectures", message));
        }
    }
}

fn listener(profile: &Profile, found: &mut Vec<Finding>) {
    let notifies = profile.rules.iter().any(|rule| rule.action == Action::Notify);
    if notifies && profile.listener_path.is_none() {
        let message = "a rule has SCMP_ACT_NOTIFY and nobody is told: the container does not start"
            .to_owned();
        found.push(Finding::error("no-listener", "listenerPath", message));
    }
    if !notifies && profile.listener_path.is_some() {
        let message = "a listener and no rule with SCMP_ACT_NOTIFY: runc refuses it".to_owned();
        found.push(Finding::warning("idle-listener", "listenerPath", message));
    }
}

fn names(names: &[String], field: &str, found: &mut Vec<Finding>) {
    for name in names {
        match calls::known(name) {
            Known::Compiled => {}
            Known::NewerThanLibseccomp => {
                let message = format!(
                    "`{name}` is newer than libseccomp {}: a runtime with that version passes over \
                     the name, and the default action applies",
                    calls::libseccomp_version()
                );
                found.push(Finding::note("newer-than-libseccomp", field, message));
            }
            Known::Unknown => {
                let meant = calls::nearest(name)
                    .map_or_else(String::new, |near| format!("; was `{near}` meant?"));
                let message =
                    format!("`{name}` is no system call: the runtimes pass over it{meant}");
                found.push(Finding::warning("unknown-name", field, message));
            }
        }
    }
}

fn moby(field: &str, action: Action) -> Finding {
    let message = "moby's form: the runtimes of Kubernetes do not read `includes` and `excludes`, \
                   and take the rule for one without. Take the rule out, or its condition"
        .to_owned();
    if action.executes() {
        Finding::error("moby-form", field, message)
    } else {
        Finding::warning("moby-form", field, message)
    }
}
