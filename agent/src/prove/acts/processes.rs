//! Another process's memory, descriptors and what /proc shows of it. The targets are processes
//! that `prove` started for this.

use std::io::{IoSlice, IoSliceMut};

use bulkhead_abi::Rule;
use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{OFlag, open, readlink},
    sys::{
        ptrace,
        stat::Mode,
        uio::{RemoteIoVec, process_vm_readv, process_vm_writev},
    },
};

use crate::prove::{
    actor::{Actor, KEPSAKE, Report, TargetProcess},
    behaviour::Behaviour,
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new("ptrace-seize", "B47", Rule::ProcessAttach, "attach to a process", seize)
        .on_process()
        .quick(),
    Behaviour::new(
        "process-vm-read",
        "B48",
        Rule::ProcessAttach,
        "read a process's memory by process_vm_readv",
        vm_read,
    )
    .on_process(),
    Behaviour::new(
        "process-vm-write",
        "B48",
        Rule::ProcessAttach,
        "write a process's memory by process_vm_writev",
        vm_write,
    )
    .on_process(),
    Behaviour::new(
        "pidfd-getfd",
        "B49",
        Rule::ProcessAttach,
        "take a descriptor out of a process",
        take_descriptor,
    )
    .on_process(),
    Behaviour::new("proc-mem", "B50", Rule::ProcessMemory, "open /proc/PID/mem", open_mem)
        .on_process()
        .quick(),
    Behaviour::new(
        "proc-environ",
        "B51",
        Rule::ProcessRead,
        "open /proc/PID/environ",
        open_environ,
    )
    .on_process()
    .quick(),
    Behaviour::new("proc-root", "B52", Rule::ProcessRead, "list /proc/PID/root", list_root)
        .on_process(),
    Behaviour::new("proc-cwd", "B52", Rule::ProcessRead, "list /proc/PID/cwd", list_cwd)
        .on_process(),
    Behaviour::new(
        "proc-fd",
        "B53",
        Rule::ProcessRead,
        "see what /proc/PID/fd/0 is",
        read_descriptor_link,
    )
    .on_process(),
    Behaviour::new(
        "proc-exe",
        "B54",
        Rule::ProcessRead,
        "see what /proc/PID/exe is",
        read_exe_link,
    )
    .on_process(),
    Behaviour::new("proc-maps", "B54", Rule::ProcessRead, "open /proc/PID/maps", open_maps)
        .on_process(),
    Behaviour::new("proc-ns", "B13", Rule::ProcessRead, "open /proc/PID/ns/uts", open_namespace)
        .on_process(),
];

/// Runs `act` on the target, if there is one.
fn on_target(actor: &Actor, act: impl FnOnce(TargetProcess) -> Report) -> Report {
    actor.target().map_or_else(|report| report, act)
}

/// The tracer's end lets the target go.
fn seize(actor: &Actor) -> Report {
    match actor.target_pid() {
        Ok(pid) => actor.attempt(|| ptrace::seize(pid, ptrace::Options::empty())),
        Err(report) => report,
    }
}

fn kept_in(target: TargetProcess) -> nix::Result<RemoteIoVec> {
    let base = usize::try_from(target.buffer).map_err(|_| Errno::EFAULT)?;
    Ok(RemoteIoVec { base, len: KEPSAKE.len() })
}

fn vm_read(actor: &Actor) -> Report {
    on_target(actor, |target| {
        let pid = nix::unistd::Pid::from_raw(target.pid);
        let mut memory = [0; KEPSAKE.len()];
        actor.attempt(|| {
            process_vm_readv(pid, &mut [IoSliceMut::new(&mut memory)], &[kept_in(target)?])
        })
    })
}

/// Writes what is there already.
fn vm_write(actor: &Actor) -> Report {
    on_target(actor, |target| {
        let pid = nix::unistd::Pid::from_raw(target.pid);
        actor.attempt(|| process_vm_writev(pid, &[IoSlice::new(&KEPSAKE)], &[kept_in(target)?]))
    })
}

fn take_descriptor(actor: &Actor) -> Report {
    let pid = match actor.target_pid() {
        Ok(pid) => pid,
        Err(report) => return report,
    };
    match sys::pidfd_open(pid) {
        Ok(pidfd) => actor.attempt(|| sys::pidfd_getfd(&pidfd, 0)),
        Err(errno) => actor.unprepared("pidfd_open", errno),
    }
}

fn path_of(target: TargetProcess, name: &str) -> String {
    format!("/proc/{}/{name}", target.pid)
}

fn open_file(actor: &Actor, name: &str) -> Report {
    on_target(actor, |target| {
        let path = path_of(target, name);
        actor.attempt(|| open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()))
    })
}

fn open_mem(actor: &Actor) -> Report {
    open_file(actor, "mem")
}

fn open_environ(actor: &Actor) -> Report {
    open_file(actor, "environ")
}

fn open_maps(actor: &Actor) -> Report {
    open_file(actor, "maps")
}

fn open_namespace(actor: &Actor) -> Report {
    open_file(actor, "ns/uts")
}

fn list(actor: &Actor, name: &str) -> Report {
    on_target(actor, |target| {
        let path = path_of(target, name);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        actor.attempt(|| Dir::open(path.as_str(), flags, Mode::empty()))
    })
}

fn list_root(actor: &Actor) -> Report {
    list(actor, "root")
}

fn list_cwd(actor: &Actor) -> Report {
    list(actor, "cwd")
}

fn read_link(actor: &Actor, name: &str) -> Report {
    on_target(actor, |target| {
        let path = path_of(target, name);
        actor.attempt(|| readlink(path.as_str()))
    })
}

fn read_descriptor_link(actor: &Actor) -> Report {
    read_link(actor, "fd/0")
}

fn read_exe_link(actor: &Actor) -> Report {
    read_link(actor, "exe")
}
