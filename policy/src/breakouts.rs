//! The breakout behaviours that the rules are measured by, with what stops each besides a rule, and
//! what no rule sees. `docs/coverage.md` is written from this and the catalogue.

use crate::catalogue::Severity::{self, Critical, High, Low, Medium};

/// One behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakout {
    /// As in `B01`.
    pub id: &'static str,
    /// What happens, in a few words.
    pub title: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Which other controls stop it.
    pub other: &'static str,
    /// What of it the rules do not cover, and why; empty where they cover it.
    pub gap: &'static str,
}

const fn row(
    id: &'static str,
    title: &'static str,
    severity: Severity,
    other: &'static str,
    gap: &'static str,
) -> Breakout {
    Breakout { id, title, severity, other, gap }
}

/// Every behaviour.
pub const ALL: &[Breakout] = &[
    row(
        "B01",
        "A file system is mounted; a mount is moved",
        High,
        "seccomp RuntimeDefault, AppArmor, a user namespace of the pod",
        "",
    ),
    row(
        "B02",
        "A fresh procfs undoes the masks; masks are unmounted",
        High,
        "seccomp RuntimeDefault, AppArmor, a user namespace of the pod",
        "",
    ),
    row(
        "B03",
        "A cgroup hierarchy is mounted, for its release_agent",
        Critical,
        "seccomp RuntimeDefault, AppArmor",
        "",
    ),
    row(
        "B04",
        "The node's block device is mounted",
        Critical,
        "the cgroup device program, seccomp RuntimeDefault",
        "",
    ),
    row("B05", "A detached mount by fsopen and fsmount", High, "seccomp RuntimeDefault", ""),
    row(
        "B06",
        "A private copy of a mount by open_tree",
        High,
        "a stricter seccomp profile",
        "The kernel has no hook for the copying itself; the capability that it needs (SYS_ADMIN) is refused by the ceiling, in the initial user namespace.",
    ),
    row(
        "B07",
        "A parameter of an old-style file system in a user namespace",
        Critical,
        "seccomp RuntimeDefault, a user namespace of the pod",
        "7.x has no old-style file systems any more: nothing to guard.",
    ),
    row(
        "B08",
        "mount_setattr clears read-only or nosuid",
        Medium,
        "a stricter seccomp profile, the capability ceiling",
        "No hook in any kernel; the new attributes lie in user memory, which may change after a look.",
    ),
    row(
        "B09",
        "chroot escape; pivot_root",
        Medium,
        "Pod Security restricted, a stricter seccomp profile",
        "",
    ),
    row(
        "B10",
        "A user namespace, and writing its id maps",
        High,
        "seccomp RuntimeDefault, user.max_user_namespaces",
        "",
    ),
    row(
        "B11",
        "Other namespaces by unshare",
        Medium,
        "seccomp RuntimeDefault, the capability ceiling",
        "No LSM hook: the ceiling refuses SYS_ADMIN in the initial user namespace, and BH-NS-001 another one.",
    ),
    row("B12", "Namespaces by clone3", High, "seccomp RuntimeDefault", ""),
    row(
        "B13",
        "setns through /proc/PID/ns, a bind mount or a received descriptor",
        Critical,
        "seccomp RuntimeDefault, no hostPID",
        "setns itself has no hook: what leads to the descriptor is judged. A namespace in which nobody has executed a program yet has no owner.",
    ),
    row("B14", "setns by pidfd", Critical, "seccomp RuntimeDefault", ""),
    row(
        "B15",
        "A process born into another cgroup",
        Medium,
        "cgroup files mounted read-only",
        "The birth itself is seen by a tracepoint; the opening of the directory's control files is refused.",
    ),
    row(
        "B16",
        "overlayfs in a user namespace",
        High,
        "a user namespace of the pod, AppArmor",
        "Judged as a mount and by the user namespace that it needs; there is no rule of its own.",
    ),
    row(
        "B17",
        "A FUSE file system served by the workload",
        Medium,
        "the cgroup device program",
        "",
    ),
    row(
        "B18",
        "A kernel module is loaded or removed",
        Critical,
        "seccomp RuntimeDefault, no SYS_MODULE",
        "delete_module has no hook: the ceiling refuses SYS_MODULE, and seccomp the call.",
    ),
    row(
        "B19",
        "A module is loaded because it is used",
        High,
        "a stricter seccomp profile, kernel.modules_disabled",
        "",
    ),
    row("B20", "bpf programs, maps and their file system", Critical, "seccomp RuntimeDefault", ""),
    row("B21", "perf_event_open", Medium, "seccomp RuntimeDefault, kernel.perf_event_paranoid", ""),
    row("B22", "userfaultfd", Medium, "seccomp RuntimeDefault, vm.unprivileged_userfaultfd", ""),
    row(
        "B23",
        "An io_uring is made",
        High,
        "seccomp RuntimeDefault of containerd 2.0 and later, kernel.io_uring_disabled",
        "A ring that was made before the container was named keeps working; what is done through it meets the other rules.",
    ),
    row(
        "B24",
        "Files and sockets through io_uring",
        High,
        "kernel.io_uring_disabled",
        "The ring's workers keep the cgroup, so that the same hooks see the same acts.",
    ),
    row(
        "B25",
        "Kernel keys of others",
        Medium,
        "seccomp RuntimeDefault",
        "A key that was made before the agent counts as the node's.",
    ),
    row(
        "B26",
        "open_by_handle_at",
        Critical,
        "seccomp RuntimeDefault, no DAC_READ_SEARCH",
        "From 6.11 root of a user namespace may open handles below its own mounts: not judged.",
    ),
    row("B27", "AF_ALG", Critical, "seccomp RuntimeDefault of 2026, AppArmor", ""),
    row("B28", "Packet and raw sockets", High, "no NET_RAW", ""),
    row("B29", "A socket to the hypervisor", High, "seccomp RuntimeDefault", ""),
    row(
        "B30",
        "IPsec by netlink",
        Critical,
        "a stricter seccomp profile, no user namespaces",
        "A netlink socket that was received from elsewhere is judged as a received descriptor.",
    ),
    row(
        "B31",
        "nf_tables and traffic control by netlink",
        Critical,
        "seccomp RuntimeDefault (user namespaces)",
        "Traffic control goes over NETLINK_ROUTE, which every program uses: what it needs is NET_ADMIN, which the ceiling judges in the initial user namespace, and the user namespace.",
    ),
    row("B32", "Rare socket families", High, "a stricter seccomp profile", ""),
    row(
        "B33",
        "A program in memory alone: memfd, /dev/shm, tmpfs",
        High,
        "AppArmor, a stricter seccomp profile",
        "Mapping such a file as code (dlopen, ld.so FILE) is not judged: a hook on every mmap costs more than it may. /proc/sys/vm/memfd_noexec stops memfds.",
    ),
    row(
        "B34",
        "A program that is not in the image",
        High,
        "a read-only root file system, AppArmor",
        "The upper layer of an overlay is seen; on other storage drivers, and on volumes on disk, an added file cannot be told from a given one. A script given to an interpreter as an argument is a file that is read. What `kubectl exec` itself executes is the operator's.",
    ),
    row(
        "B35",
        "Memory that is written and then executed",
        Medium,
        "-",
        "Just-in-time compilers do it all day: off but at `untrusted`. personality(2) has no hook.",
    ),
    row("B36", "core_pattern", Critical, "read-only /proc/sys, AppArmor", ""),
    row(
        "B37",
        "modprobe, usermodehelper, uevent_helper",
        Critical,
        "read-only /proc/sys and /sys, AppArmor",
        "",
    ),
    row("B38", "binfmt_misc", High, "read-only /proc/sys, AppArmor", ""),
    row("B39", "sysrq", High, "read-only /proc/sysrq-trigger, AppArmor", ""),
    row(
        "B40",
        "release_agent, devices.allow (cgroup v1)",
        Critical,
        "cgroup files mounted read-only, AppArmor",
        "",
    ),
    row("B41", "cgroup.procs of others", High, "cgroup files mounted read-only, AppArmor", ""),
    row(
        "B42",
        "kcore, /dev/mem, ports, MSR, kvm",
        Critical,
        "the cgroup device program, masked paths",
        "",
    ),
    row("B43", "A device node is made and opened", High, "no MKNOD, the cgroup device program", ""),
    row(
        "B44",
        "Kernel symbols, logs, tracing",
        Low,
        "masked paths, kernel.dmesg_restrict, kernel.kptr_restrict",
        "",
    ),
    row(
        "B45",
        "reboot, kexec, swapon, acct, settime, port I/O",
        High,
        "seccomp RuntimeDefault, the capability ceiling",
        "swapon, acct and iopl have no hook of their own: the ceiling judges their capabilities.",
    ),
    row(
        "B46",
        "seccomp listener; fanotify; TIOCSTI",
        Medium,
        "a stricter seccomp profile, dev.tty.legacy_tiocsti=0",
        "The listener has no hook. TIOCSTI is an ioctl, and a hook there costs every ioctl of every process; the sysctl closes it.",
    ),
    row(
        "B47",
        "ptrace of another container's or the node's process",
        Critical,
        "AppArmor, no hostPID",
        "",
    ),
    row("B48", "process_vm_readv and writev", Critical, "AppArmor, no hostPID", ""),
    row("B49", "pidfd_getfd", High, "seccomp RuntimeDefault, no hostPID", ""),
    row("B50", "/proc/PID/mem", Critical, "AppArmor, no hostPID", ""),
    row("B51", "/proc/PID/environ", High, "AppArmor, no hostPID", ""),
    row("B52", "/proc/PID/root and cwd", Critical, "AppArmor, no hostPID", ""),
    row("B53", "/proc/PID/fd", Critical, "AppArmor, no hostPID", ""),
    row(
        "B54",
        "/proc/PID/exe, maps, stack, and what everybody may read",
        Medium,
        "no hostPID",
        "Listing /proc shows that a process is there; hidepid of the mount hides that.",
    ),
    row("B55", "Signals across containers", High, "AppArmor, no hostPID", ""),
    row(
        "B56",
        "Limits, priority, oom_score_adj, IPC objects of others",
        Medium,
        "no hostPID, no hostIPC",
        "POSIX shared memory and queues are files, told by their mounts. Objects that were made before the agent count as the node's.",
    ),
    row(
        "B57",
        "Descriptors from other containers",
        High,
        "no shared volumes between tenants",
        "Told by the mount namespace of a file, the cgroup of a network socket, the owner of a namespace. Pipes, memfds, anonymous inodes and unix sockets bear no owner; the connection over which they come does.",
    ),
    row("B58", "The shim's abstract socket", Critical, "no hostNetwork, AppArmor of 7.x", ""),
    row(
        "B59",
        "The runtime's or kubelet's socket in the pod",
        Critical,
        "no hostPath, AppArmor",
        "Known by name, as the node bound it; a socket that systemd holds for the runtime bears the same name. Another name is judged as a unix socket of the node.",
    ),
    row(
        "B60",
        "The runtime's binary is overwritten through /proc/self/exe",
        Critical,
        "a runtime that seals itself (runc 1.1 and later), a user namespace of the pod",
        "The file is judged when it is opened for writing through a descriptor or link that leads outside the mount namespace, and so is taking hold of the runtime's process; a hard link or bind mount of the binary inside the container is a file of the container.",
    ),
    row(
        "B61",
        "A leaked working directory",
        Critical,
        "runc 1.1.12 and later, a user namespace of the pod",
        "Judged when the container's program is executed, during the runtime's set-up too. Reading by a leaked descriptor is not.",
    ),
    row(
        "B62",
        "Links where the runtime mounts masks and console",
        Critical,
        "runc 1.2.8, 1.3.3 and later, AppArmor",
        "",
    ),
    row(
        "B63",
        "A link exchanged under the runtime on a shared volume",
        High,
        "runc 1.0 and later, no shared volumes between tenants",
        "A link below a mounted /var/log is a link like any other: not judged.",
    ),
    row("B64", "Becoming root without an exec", High, "no SETUID, Pod Security restricted", ""),
    row(
        "B65",
        "Capabilities raised",
        Medium,
        "Pod Security restricted",
        "Ambient capabilities (prctl) are not judged.",
    ),
    row(
        "B66",
        "Credentials overwritten by a kernel exploit",
        Critical,
        "a current kernel, lockdown",
        "Not seen: no hook is passed. What the stolen credentials are used for meets the other rules.",
    ),
    row(
        "B67",
        "A set-user-id program or file capabilities are made",
        High,
        "no FSETID and SETFCAP, no_new_privs, nosuid volumes",
        "",
    ),
    row(
        "B68",
        "The service-account token is read",
        Medium,
        "automountServiceAccountToken: false",
        "Not judged: every client library reads it, and to see it would cost every opening of a file.",
    ),
    row(
        "B69",
        "kubelet, etcd, API server are connected",
        Medium,
        "network policy",
        "By port, on any address. The service address of the API server (443) looks as any other.",
    ),
    row(
        "B70",
        "Cloud metadata is connected",
        High,
        "network policy, the cloud's hop limit",
        "By well-known addresses, by connect. A datagram that is sent without connecting, and TCP Fast Open, are not seen: network policy.",
    ),
    row(
        "B71",
        "Namespaces enumerated through DNS",
        Low,
        "network policy",
        "Not judged: it takes reading what is sent.",
    ),
    row(
        "B72",
        "Connections across tenants, port sweeps",
        Medium,
        "network policy",
        "Not judged but for unix sockets: the agent does not know the pods' addresses.",
    ),
    row(
        "B73",
        "A shell on a socket",
        High,
        "network policy",
        "Seen when a program is started with both ends of a TCP or UDP socket; a relay between a socket and pipes is not.",
    ),
    row(
        "B74",
        "Logs emptied or removed",
        Medium,
        "AppArmor, a read-only root file system",
        "/var/log of the container's own file system and of a mounted one.",
    ),
    row(
        "B75",
        "Passwords and keys are read",
        Medium,
        "AppArmor, Pod Security restricted (no root)",
        "Not judged: to see it would cost every opening of a file.",
    ),
    row(
        "B76",
        "Files dropped where the system runs them",
        High,
        "a read-only root file system, AppArmor",
        "New files, by making, moving and linking; writing into one that is there is not seen.",
    ),
    row(
        "B77",
        "Tools in the container",
        Low,
        "minimal images, AppArmor",
        "Not judged: a file's name says nothing, and which files are tools only the image tells. Tools that were added meet BH-EXEC-003.",
    ),
    row(
        "B78",
        "Fork bombs",
        Medium,
        "pids.max",
        "A limit stops it; counting forks would cost each of them.",
    ),
    row(
        "B79",
        "Memory, huge pages, locked memory",
        Medium,
        "memory.max, hugetlb limits, RLIMIT_MEMLOCK",
        "A limit stops it.",
    ),
    row(
        "B80",
        "Real-time scheduling, inotify, user namespace counts",
        Medium,
        "cpu.max, no SYS_NICE, fs.inotify and user.max_* limits",
        "Real-time scheduling of oneself needs SYS_NICE, which the ceiling judges; the rest are limits.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn every_behaviour_is_there_once_and_in_order() {
        let ids: Vec<String> = ALL.iter().map(|row| row.id.to_owned()).collect();
        let expected: Vec<String> = (1..=80).map(|number| format!("B{number:02}")).collect();
        assert_eq!(ids, expected);
    }

    #[test]
    fn what_no_rule_covers_says_why() {
        for row in ALL {
            let ruled = catalogue::ALL.iter().any(|rule| rule.rows.contains(&row.id));
            assert!(ruled || !row.gap.is_empty(), "{} has neither rule nor reason", row.id);
            assert!(!row.other.is_empty(), "{}", row.id);
        }
    }
}
