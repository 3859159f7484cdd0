//! Files of the kernel's own file systems that lead out of a container or tell about the node.
//!
//! Here a name is an identity: the kernel makes these files and no tenant can make one like them.
//! Device nodes are told by their numbers, in the guard, because a tenant names those.

use bulkhead_abi::{Rule, SENSITIVE_NAME_LEN, SensitiveFile};

use Access::{Any, Write};

// linux/magic.h
const PROC: u64 = 0x9fa0;
const SYSFS: u64 = 0x6265_6572;
const CGROUP_V1: u64 = 0x0027_e0eb;
const BINFMT: u64 = 0x4249_4e4d;
const DEBUGFS: u64 = 0x6462_6720;
const TRACEFS: u64 = 0x7472_6163;
const BPFFS: u64 = 0xcafe_4a11;
/// The file system of sockets, whose files nobody opens: the names of the node's unix sockets.
const SOCKETS: u64 = 0x534f_434b;
/// No file system: names of directories, and of files, in which a tenant drops what shall run
/// again (`guard/src/names.rs`).
const DIRECTORIES: u64 = 1;
/// See [`DIRECTORIES`].
const NAMES: u64 = 2;

/// Which openings count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For writing.
    Write,
    /// Any.
    Any,
}

/// A file, or a file system all of whose files count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensitive {
    /// The file system's magic number (linux/magic.h).
    pub magic: u64,
    /// The file's own name; `None` for every file of the file system that has no row of its own.
    pub name: Option<&'static str>,
    /// The rule that its opening meets.
    pub rule: Rule,
    /// Which openings.
    pub access: Access,
}

impl Sensitive {
    /// The key under which the kernel side finds it.
    pub fn key(&self) -> SensitiveFile {
        let mut name = [0; SENSITIVE_NAME_LEN];
        for (to, from) in name.iter_mut().zip(self.name.unwrap_or_default().bytes()) {
            *to = from;
        }
        SensitiveFile { magic: self.magic, name }
    }
}

const fn file(magic: u64, name: &'static str, rule: Rule, access: Access) -> Sensitive {
    Sensitive { magic, name: Some(name), rule, access }
}

const fn whole(magic: u64, rule: Rule, access: Access) -> Sensitive {
    Sensitive { magic, name: None, rule, access }
}

/// Every one.
pub const ALL: &[Sensitive] = &[
    // The program that a crash runs, as root on the node.
    file(PROC, "core_pattern", Rule::CorePattern, Write),
    // Programs that the kernel runs for itself: loading a module, a device's arrival, power-off.
    file(PROC, "modprobe", Rule::KernelHelper, Write),
    file(PROC, "hotplug", Rule::KernelHelper, Write),
    file(PROC, "poweroff_cmd", Rule::KernelHelper, Write),
    file(SYSFS, "uevent_helper", Rule::KernelHelper, Write),
    // /proc/sys/kernel/usermodehelper: the capabilities of those programs.
    file(PROC, "bset", Rule::KernelHelper, Write),
    file(PROC, "inheritable", Rule::KernelHelper, Write),
    // Interpreters; `register`, `status` and every entry.
    whole(BINFMT, Rule::BinfmtMisc, Write),
    file(PROC, "sysrq", Rule::Sysrq, Write),
    file(PROC, "sysrq-trigger", Rule::Sysrq, Write),
    // A program that the kernel runs when a cgroup empties, and access to the node's devices.
    file(CGROUP_V1, "release_agent", Rule::CgroupV1Control, Write),
    file(CGROUP_V1, "notify_on_release", Rule::CgroupV1Control, Write),
    file(CGROUP_V1, "devices.allow", Rule::CgroupV1Control, Write),
    // A user namespace's ids: whoever writes them was let make one.
    file(PROC, "uid_map", Rule::UserNamespace, Write),
    file(PROC, "gid_map", Rule::UserNamespace, Write),
    // Who commands the runtime has the node. Names of sockets, and of the shims' directory.
    file(SOCKETS, "containerd.sock", Rule::RuntimeSocket, Any),
    file(SOCKETS, "containerd.sock.ttrpc", Rule::RuntimeSocket, Any),
    file(SOCKETS, "containerd", Rule::RuntimeSocket, Any),
    file(SOCKETS, "docker.sock", Rule::RuntimeSocket, Any),
    file(SOCKETS, "dockershim.sock", Rule::RuntimeSocket, Any),
    file(SOCKETS, "cri-dockerd.sock", Rule::RuntimeSocket, Any),
    file(SOCKETS, "crio.sock", Rule::RuntimeSocket, Any),
    file(SOCKETS, "podman.sock", Rule::RuntimeSocket, Any),
    file(SOCKETS, "buildkitd.sock", Rule::RuntimeSocket, Any),
    file(SOCKETS, "nri.sock", Rule::RuntimeSocket, Any),
    file(SOCKETS, "kubelet.sock", Rule::RuntimeSocket, Any),
    // What runs without being asked: directories in which a new file is a drop.
    file(DIRECTORIES, "cron.d", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "cron.hourly", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "cron.daily", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "cron.weekly", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "cron.monthly", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "crontabs", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "init.d", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "profile.d", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "sudoers.d", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "bin", Rule::PersistenceDrop, Write),
    file(DIRECTORIES, "sbin", Rule::PersistenceDrop, Write),
    // And names that are a drop wherever they appear.
    file(NAMES, "ld.so.preload", Rule::PersistenceDrop, Write),
    file(NAMES, "authorized_keys", Rule::PersistenceDrop, Write),
    // The node's memory as a core file.
    file(PROC, "kcore", Rule::KernelMemory, Any),
    // Addresses, the node's log, what runs beside: how an exploit finds its way.
    file(PROC, "kallsyms", Rule::KernelDiscovery, Any),
    file(PROC, "kmsg", Rule::KernelDiscovery, Any),
    file(PROC, "sched_debug", Rule::KernelDiscovery, Any),
    file(PROC, "timer_list", Rule::KernelDiscovery, Any),
    file(PROC, "slabinfo", Rule::KernelDiscovery, Any),
    file(PROC, "kpagecount", Rule::KernelDiscovery, Any),
    file(PROC, "kpageflags", Rule::KernelDiscovery, Any),
    file(PROC, "kpagecgroup", Rule::KernelDiscovery, Any),
    whole(DEBUGFS, Rule::KernelDiscovery, Any),
    whole(TRACEFS, Rule::KernelDiscovery, Any),
    // Pinned programs and maps: those of the node's agents, this one's included.
    whole(BPFFS, Rule::BpfFilesystem, Any),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_fits_its_key_with_a_zero_behind_it() {
        for row in ALL {
            let name = row.name.unwrap_or_default();
            assert!(name.len() < SENSITIVE_NAME_LEN, "{name}");
            let key = row.key();
            assert_eq!(&key.name[..name.len()], name.as_bytes());
            assert!(key.name[name.len()..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn no_file_has_two_rules() {
        let keys: HashSet<_> = ALL.iter().map(|row| (row.magic, row.name)).collect();
        assert_eq!(keys.len(), ALL.len());
    }

    #[test]
    fn every_rule_about_kernel_files_has_a_file() {
        for rule in [
            Rule::CorePattern,
            Rule::KernelHelper,
            Rule::BinfmtMisc,
            Rule::Sysrq,
            Rule::CgroupV1Control,
            Rule::KernelMemory,
            Rule::KernelDiscovery,
            Rule::BpfFilesystem,
        ] {
            assert!(ALL.iter().any(|row| row.rule == rule), "{rule:?}");
        }
    }

    #[test]
    fn reading_a_kernel_setting_is_nobody_s_business() {
        for row in ALL {
            if matches!(row.rule, Rule::CorePattern | Rule::KernelHelper | Rule::Sysrq) {
                assert_eq!(row.access, Write, "{:?}", row.name);
            }
        }
    }
}
