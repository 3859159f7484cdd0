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
    /// Whether another hook sees the same acts on kernels that have not got this one.
    pub covered: bool,
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
    Hook { name, function, rules, covered: false }
}

/// A hook of newer kernels; on older ones another hook sees what it sees.
const fn newer(name: &'static str, function: &'static str, rules: &'static [Rule]) -> Hook {
    Hook { name, function, rules, covered: true }
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
    Rule::NamespaceDescriptor,
    Rule::HostDevice,
    Rule::OutsideFile,
    Rule::ProcessList,
    Rule::ProcessPriority,
    Rule::UserNamespace,
    Rule::OwnFile,
];

/// The rules of a file system that is about to be mounted.
const MOUNTS: &[Rule] = &[Rule::Mount, Rule::MountProc, Rule::MountCgroup, Rule::MountBlock];

/// The rules of ptrace_access_check.
const PTRACE: &[Rule] = &[
    Rule::ProcessAttach,
    Rule::ProcessMemory,
    Rule::ProcessRead,
    Rule::JoinNamespaces,
    Rule::OwnProcess,
];

/// The rules of names that come and go.
const NAMES: &[Rule] = &[Rule::OwnFile, Rule::PinnedName];

/// The rules of a unix socket's other end.
const UNIX: &[Rule] = &[Rule::UnixConnect, Rule::RuntimeSocket, Rule::OwnSocket];

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
        &[
            Rule::SocketAlg,
            Rule::SocketRaw,
            Rule::SocketVsock,
            Rule::SocketRare,
            Rule::NetlinkXfrm,
            Rule::NetlinkNetfilter,
        ],
    ),
    hook(
        "file_receive",
        "security_file_receive",
        &[Rule::DescriptorReceive, Rule::NamespaceDescriptor],
    ),
    hook("unix_stream_connect", "security_unix_stream_connect", UNIX),
    hook("unix_may_send", "security_unix_may_send", UNIX),
    hook("ptrace_traceme", "security_ptrace_traceme", &[Rule::ProcessAttach]),
    hook("task_kill", "security_task_kill", &[Rule::Signal, Rule::OwnProcess]),
    hook("userns_create", "security_create_user_ns", &[Rule::UserNamespace]),
    hook("task_alloc", "security_task_alloc", &[Rule::CloneNamespaces]),
    hook("sb_umount", "security_sb_umount", &[Rule::Unmount]),
    hook("sb_pivotroot", "security_sb_pivotroot", &[Rule::PivotRoot]),
    hook("path_chroot", "security_path_chroot", &[Rule::Chroot]),
    hook("inode_unlink", "security_inode_unlink", NAMES),
    hook("inode_rmdir", "security_inode_rmdir", NAMES),
    hook("inode_rename", "security_inode_rename", NAMES),
    hook("inode_link", "security_inode_link", NAMES),
    hook("inode_mkdir", "security_inode_mkdir", NAMES),
    hook("inode_symlink", "security_inode_symlink", NAMES),
    hook("perf_event_open", "security_perf_event_open", &[Rule::PerfEvent]),
    hook("task_setrlimit", "security_task_setrlimit", &[Rule::ProcessLimits, Rule::OwnProcess]),
    hook("task_setnice", "security_task_setnice", &[Rule::ProcessPriority, Rule::OwnProcess]),
    hook("task_setioprio", "security_task_setioprio", &[Rule::ProcessPriority, Rule::OwnProcess]),
    hook(
        "task_setscheduler",
        "security_task_setscheduler",
        &[Rule::ProcessPriority, Rule::OwnProcess],
    ),
    hook("task_movememory", "security_task_movememory", &[Rule::ProcessPriority, Rule::OwnProcess]),
    hook(
        "bprm_check_security",
        "security_bprm_check",
        &[
            Rule::LeakedDirectory,
            Rule::FilelessExec,
            Rule::MemoryExec,
            Rule::DroppedExec,
            Rule::SocketShell,
        ],
    ),
    hook("kernel_read_file", "security_kernel_read_file", &[Rule::ModuleLoad, Rule::KernelImage]),
    hook("kernel_load_data", "security_kernel_load_data", &[Rule::ModuleLoad, Rule::KernelImage]),
    hook("path_symlink", "security_path_symlink", &[Rule::MaskSymlink, Rule::PersistenceDrop]),
    hook("fs_context_parse_param", "security_fs_context_parse_param", &[Rule::MountParameter]),
    hook(
        "inode_init_security_anon",
        "security_inode_init_security_anon",
        &[Rule::IoUring, Rule::Userfaultfd],
    ),
    hook("kernel_module_request", "security_kernel_module_request", &[Rule::ModuleRequest]),
    hook(
        "path_mknod",
        "security_path_mknod",
        &[Rule::SpecialFile, Rule::SuidCreated, Rule::PersistenceDrop],
    ),
    hook("path_chmod", "security_path_chmod", &[Rule::SuidCreated]),
    hook("inode_setxattr", "security_inode_setxattr", &[Rule::SuidCreated]),
    hook("path_rename", "security_path_rename", &[Rule::LinkExchange, Rule::PersistenceDrop]),
    hook("path_link", "security_path_link", &[Rule::PersistenceDrop]),
    hook("path_unlink", "security_path_unlink", &[Rule::LogTampering]),
    hook("path_truncate", "security_path_truncate", &[Rule::LogTampering, Rule::OwnFile]),
    newer("file_truncate", "security_file_truncate", &[Rule::LogTampering]),
    hook("socket_connect", "security_socket_connect", &[Rule::MetadataService, Rule::ControlPlane]),
    hook("task_fix_setuid", "security_task_fix_setuid", &[Rule::CredentialRaise]),
    hook("settime", "security_settime64", &[Rule::ClockSet]),
    hook("syslog", "security_syslog", &[Rule::KernelDiscovery]),
    hook("path_notify", "security_path_notify", &[Rule::FileWatch]),
    hook("capset", "security_capset", &[Rule::CapabilityRaise]),
    hook("file_mprotect", "security_file_mprotect", &[Rule::WritableCode]),
    hook("ipc_permission", "security_ipc_permission", &[Rule::IpcObject]),
    hook("shm_alloc_security", "security_shm_alloc", &[Rule::IpcObject]),
    hook("sem_alloc_security", "security_sem_alloc", &[Rule::IpcObject]),
    hook("msg_queue_alloc_security", "security_msg_queue_alloc", &[Rule::IpcObject]),
    hook("key_permission", "security_key_permission", &[Rule::KernelKey]),
    hook("key_alloc", "security_key_alloc", &[Rule::KernelKey]),
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

/// Whether a cgroup program is the whole of this rule, and not what stands in for its hook.
pub(crate) fn is_decided_by_cgroup_program(rule: Rule) -> bool {
    CGROUP_RULES.iter().any(|(_, it)| *it == rule)
}

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
