//! Which hook serves which rules.

use bulkhead_abi::Rule;

/// One LSM hook and the kernel function that calls it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook {
    /// The hook's name; the programs are called `lsm_NAME` and `fentry_NAME`.
    pub name: &'static str,
    /// The kernel function for fentry.
    pub function: &'static str,
    /// The rules that are decided here.
    pub rules: &'static [Rule],
}

/// What still sees a part of a rule where its hook cannot be attached at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Substitute {
    /// The program and the BTF tracepoint, `tp_NAME` and NAME.
    pub tracepoint: &'static str,
    /// The rule.
    pub rule: Rule,
    /// What of it is seen.
    pub sees: &'static str,
}

const fn hook(name: &'static str, function: &'static str, rules: &'static [Rule]) -> Hook {
    Hook { name, function, rules }
}

/// The rules of an opened file.
const FILES: &[Rule] = &[
    Rule::CorePattern,
    Rule::KernelHelper,
    Rule::BinfmtMisc,
    Rule::Sysrq,
    Rule::CgroupV1Control,
    Rule::KernelMemory,
    Rule::KernelDiscovery,
    Rule::BpfFilesystem,
    Rule::BlockDevice,
];

/// The rules of a file system that is about to be mounted.
const MOUNTS: &[Rule] = &[Rule::Mount, Rule::MountProc, Rule::MountCgroup, Rule::MountBlock];

/// The rules of ptrace_access_check.
const PTRACE: &[Rule] =
    &[Rule::ProcessAttach, Rule::ProcessMemory, Rule::ProcessRead, Rule::JoinNamespaces];

/// Every hook, in the order in which they are attached: what is critical comes first.
pub(crate) const HOOKS: &[Hook] = &[
    hook("ptrace_access_check", "security_ptrace_access_check", PTRACE),
    hook("sb_mount", "security_sb_mount", MOUNTS),
    hook("sb_kern_mount", "security_sb_kern_mount", MOUNTS),
    hook("move_mount", "security_move_mount", &[Rule::MoveMount]),
    hook("bpf", "security_bpf", &[Rule::Bpf]),
    hook("file_open", "security_file_open", FILES),
    hook("capable", "security_capable", &[Rule::CapabilityCeiling]),
    hook(
        "socket_create",
        "security_socket_create",
        &[Rule::SocketAlg, Rule::SocketRaw, Rule::SocketVsock, Rule::SocketRare],
    ),
    hook("task_kill", "security_task_kill", &[Rule::Signal]),
    hook("userns_create", "security_create_user_ns", &[Rule::UserNamespace]),
    hook("task_alloc", "security_task_alloc", &[Rule::CloneNamespaces]),
    hook("sb_umount", "security_sb_umount", &[Rule::Unmount]),
    hook("sb_pivotroot", "security_sb_pivotroot", &[Rule::PivotRoot]),
    hook("path_chroot", "security_path_chroot", &[Rule::Chroot]),
    hook("perf_event_open", "security_perf_event_open", &[Rule::PerfEvent]),
    hook("task_setrlimit", "security_task_setrlimit", &[Rule::ProcessLimits]),
    hook("task_setnice", "security_task_setnice", &[Rule::ProcessPriority]),
    hook("task_setioprio", "security_task_setioprio", &[Rule::ProcessPriority]),
    hook("task_setscheduler", "security_task_setscheduler", &[Rule::ProcessPriority]),
    hook("task_movememory", "security_task_movememory", &[Rule::ProcessPriority]),
];

/// The rung below fentry.
pub(crate) const SUBSTITUTES: &[Substitute] = &[
    Substitute {
        tracepoint: "signal_generate",
        rule: Rule::Signal,
        sees: "signals that were sent, not those that were refused",
    },
    Substitute {
        tracepoint: "task_newtask",
        rule: Rule::CloneNamespaces,
        sees: "clone and clone3, not unshare",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_hook() {
        for rule in Rule::ALL {
            let served = HOOKS.iter().any(|hook| hook.rules.contains(rule));
            assert!(served, "{rule:?} has no hook");
        }
    }

    #[test]
    fn a_substitute_stands_in_for_a_rule_that_has_a_hook() {
        for substitute in SUBSTITUTES {
            assert!(HOOKS.iter().any(|hook| hook.rules.contains(&substitute.rule)));
        }
    }
}
