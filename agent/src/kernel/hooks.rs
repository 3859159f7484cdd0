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

/// What still sees a rule, or a part of it, where its hook cannot be attached at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Substitute {
    /// The kind of program.
    pub(crate) by: By,
    /// The rule.
    pub(crate) rule: Rule,
    /// Whether it meets every way in that the hook would.
    pub(crate) complete: bool,
    /// What of it is met.
    pub(crate) meets: &'static str,
}

/// A kind of program that needs neither BPF LSM nor fentry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A BTF tracepoint; the program is called `tp_NAME`. It refuses nothing.
    Tracepoint(&'static str),
    /// The cgroup device program. It refuses.
    Device,
    /// The cgroup sysctl program. It refuses.
    Sysctl,
    /// The cgroup program that knows what runtimes have granted. It refuses.
    Grants,
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
    Rule::CgroupControl,
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

const fn part(by: By, rule: Rule, meets: &'static str) -> Substitute {
    Substitute { by, rule, complete: false, meets }
}

const fn whole(by: By, rule: Rule, meets: &'static str) -> Substitute {
    Substitute { by, rule, complete: true, meets }
}

/// Rules that a cgroup program alone decides, on every rung: the kernel asks it at each opening of a
/// device, before any LSM hook, and it refuses without BPF LSM.
pub(crate) const CGROUP_RULES: &[(By, Rule)] = &[(By::Grants, Rule::DeviceNotGranted)];

/// The rungs below fentry.
pub(crate) const SUBSTITUTES: &[Substitute] = &[
    part(
        By::Tracepoint("signal_generate"),
        Rule::Signal,
        "signals that were sent, not those that were refused",
    ),
    part(By::Tracepoint("task_newtask"), Rule::CloneNamespaces, "clone and clone3, not unshare"),
    whole(By::Device, Rule::BlockDevice, "every opening of a block device"),
    part(By::Device, Rule::KernelMemory, "device nodes, not /proc/kcore"),
    part(By::Device, Rule::KernelDiscovery, "/dev/kmsg, not the files of /proc and of tracing"),
    whole(By::Sysctl, Rule::CorePattern, "every write of core_pattern, at the write"),
    part(By::Sysctl, Rule::KernelHelper, "sysctls, not uevent_helper"),
    part(By::Sysctl, Rule::Sysrq, "the sysctl, not sysrq-trigger"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_hook() {
        for rule in Rule::ALL {
            let served = HOOKS.iter().any(|hook| hook.rules.contains(rule));
            let cgroup = CGROUP_RULES.iter().any(|(_, it)| it == rule);
            assert!(served != cgroup, "{rule:?} has no hook");
        }
    }

    #[test]
    fn a_substitute_stands_in_for_a_rule_that_has_a_hook() {
        for substitute in SUBSTITUTES {
            assert!(HOOKS.iter().any(|hook| hook.rules.contains(&substitute.rule)));
        }
    }
}
