//! Files by which a container reaches the kernel. They are opened and closed, never written and
//! never read. Device nodes are the actor's own.

use std::path::Path;

use bulkhead_abi::Rule;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::{stat::Mode, statfs::statfs},
};

use crate::prove::{
    actor::{Actor, Report},
    behaviour::{Behaviour, CAP_SYS_RAWIO, CAP_SYSLOG},
    prop::Prop,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "core-pattern",
        "B36",
        Rule::CorePattern,
        "open core_pattern for writing",
        |actor| open_to_write(actor, Path::new("/proc/sys/kernel/core_pattern")),
    )
    .quick(),
    Behaviour::new(
        "modprobe-path",
        "B37",
        Rule::KernelHelper,
        "open the path of modprobe for writing",
        |actor| open_to_write(actor, Path::new("/proc/sys/kernel/modprobe")),
    ),
    Behaviour::new(
        "uevent-helper",
        "B37",
        Rule::KernelHelper,
        "open the uevent helper for writing",
        |actor| open_to_write(actor, Path::new("/sys/kernel/uevent_helper")),
    ),
    Behaviour::new(
        "binfmt-misc",
        "B38",
        Rule::BinfmtMisc,
        "open binfmt_misc's register for writing",
        |actor| open_to_write(actor, &actor.at("binfmt/register")),
    )
    .props(&[Prop::Kernel("binfmt_misc", "", "binfmt")]),
    Behaviour::new(
        "sysrq-trigger",
        "B39",
        Rule::Sysrq,
        "open sysrq-trigger for writing",
        |actor| open_to_write(actor, Path::new("/proc/sysrq-trigger")),
    ),
    Behaviour::new(
        "release-agent",
        "B40",
        Rule::CgroupV1Control,
        "open a cgroup v1 release_agent for writing (in a hierarchy of prove's own)",
        |actor| open_to_write(actor, &actor.at("cgroup1/release_agent")),
    )
    .props(&[Prop::Kernel("cgroup", "none,name=bulkhead-prove", "cgroup1")]),
    Behaviour::new("kcore", "B42", Rule::KernelMemory, "open /proc/kcore", |actor| {
        open_to_read(actor, Path::new("/proc/kcore"))
    })
    .needs(&[CAP_SYS_RAWIO]),
    Behaviour::new("dev-mem", "B42", Rule::KernelMemory, "open physical memory", |actor| {
        open_to_read(actor, &actor.at("mem"))
    })
    .props(&[Prop::CharacterDevice("mem", 1, 1)])
    .needs(&[CAP_SYS_RAWIO])
    .quick(),
    Behaviour::new("dev-port", "B42", Rule::KernelMemory, "open the I/O ports", |actor| {
        open_to_read(actor, &actor.at("port"))
    })
    .props(&[Prop::CharacterDevice("port", 1, 4)])
    .needs(&[CAP_SYS_RAWIO]),
    Behaviour::new("dev-fuse", "B17", Rule::HostDevice, "open the FUSE device", |actor| {
        open_to_read(actor, &actor.at("fuse"))
    })
    .props(&[Prop::CharacterDevice("fuse", 10, 229)]),
    Behaviour::new(
        "cgroup-procs",
        "B41",
        Rule::CgroupControl,
        "open cgroup.procs of the node's root for writing",
        |actor| {
            let hybrid = Path::new("/sys/fs/cgroup/unified/cgroup.procs");
            let unified = Path::new("/sys/fs/cgroup/cgroup.procs");
            open_to_write(actor, if hybrid.exists() { hybrid } else { unified })
        },
    )
    .quick(),
    Behaviour::new("block-device", "B43", Rule::BlockDevice, "open a block device node", |actor| {
        open_to_read(actor, &actor.at("disk"))
    })
    .props(&[Prop::NoSuchBlockDevice("disk")]),
    Behaviour::new(
        "ungranted-device",
        "B43",
        Rule::DeviceNotGranted,
        "open a device that the runtime did not grant (no driver has it)",
        |actor| open_to_read(actor, &actor.at("device")),
    )
    .props(&[Prop::UngrantedDevice("device")]),
    Behaviour::new(
        "kallsyms",
        "B44",
        Rule::KernelDiscovery,
        "open the kernel's symbols",
        |actor| open_to_read(actor, Path::new("/proc/kallsyms")),
    )
    .needs(&[CAP_SYSLOG])
    .quick(),
    Behaviour::new("kmsg", "B44", Rule::KernelDiscovery, "open the kernel's log", |actor| {
        open_to_read(actor, &actor.at("kmsg"))
    })
    .props(&[Prop::CharacterDevice("kmsg", 1, 11)])
    .needs(&[CAP_SYSLOG]),
    Behaviour::new("tracefs", "B44", Rule::KernelDiscovery, "open a file of tracefs", |actor| {
        open_to_read(actor, &actor.at("tracing/available_tracers"))
    })
    .props(&[Prop::Kernel("tracefs", "", "tracing")]),
    Behaviour::new("debugfs", "B44", Rule::KernelDiscovery, "look into debugfs", |actor| {
        const DEBUGFS_MAGIC: u64 = 0x6462_6720;
        open_directory(actor, actor.at("debug"), DEBUGFS_MAGIC)
    })
    .props(&[Prop::Kernel("debugfs", "", "debug")]),
];

fn open_to_write(actor: &Actor, path: &Path) -> Report {
    open_as(actor, path, OFlag::O_WRONLY)
}

fn open_to_read(actor: &Actor, path: &Path) -> Report {
    open_as(actor, path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)
}

fn open_as(actor: &Actor, path: &Path, flags: OFlag) -> Report {
    if !path.exists() {
        return actor.unavailable(&format!("there is no {}", name_of(actor, path)));
    }
    actor.attempt(|| open(path, flags | OFlag::O_CLOEXEC, Mode::empty()))
}

/// Opens a directory, if a file system of this kind is what is there.
pub(crate) fn open_directory(actor: &Actor, path: impl AsRef<Path>, magic: u64) -> Report {
    let path = path.as_ref();
    let found = statfs(path).map(|found| found.filesystem_type().0.cast_unsigned());
    match found {
        Ok(found) if found == magic => open_as(actor, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY),
        Ok(_) => actor.unavailable(&format!("nothing is mounted on {}", name_of(actor, path))),
        Err(Errno::ENOENT) => actor.unavailable(&format!("there is no {}", name_of(actor, path))),
        Err(errno) => actor.unprepared("statfs", errno),
    }
}

/// A path without the scratch directory's random name.
fn name_of(actor: &Actor, path: &Path) -> String {
    path.strip_prefix(actor.at("")).unwrap_or(path).display().to_string()
}
