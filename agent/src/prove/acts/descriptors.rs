//! What comes from other containers by descriptor or by name: sockets, namespaces, System V memory,
//! keys, and what /proc shows of their processes to everybody.

use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};

use bulkhead_abi::Rule;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use crate::prove::{
    actor::{Actor, Report, TargetProcess},
    behaviour::Behaviour,
    lend::{self, Loan},
    prop::Prop,
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "receive-socket",
        "B57",
        Rule::DescriptorReceive,
        "receive a network socket that a process made",
        |actor| receive(actor, Loan::Socket),
    )
    .on_process()
    .quick(),
    Behaviour::new(
        "receive-namespace",
        "B57",
        Rule::NamespaceDescriptor,
        "receive a process's UTS namespace",
        |actor| receive(actor, Loan::Namespace),
    )
    .on_process()
    // Else the node's would be the actor's own.
    .props(&[Prop::OwnHostname]),
    Behaviour::new(
        "unix-connect",
        "B57",
        Rule::UnixConnect,
        "connect to a process's abstract socket",
        unix_connect,
    )
    .on_process()
    .quick(),
    Behaviour::new(
        "unix-datagram",
        "B57",
        Rule::UnixConnect,
        "send a datagram to a process's abstract socket",
        unix_datagram,
    )
    .on_process(),
    Behaviour::new(
        "runtime-socket",
        "B59",
        Rule::RuntimeSocket,
        "connect to a socket of the node's that is named as containerd's",
        |actor| stream_to(actor, &actor.at("containerd.sock")),
    )
    .props(&[Prop::ListeningSocket("containerd.sock")])
    .quick(),
    Behaviour::new(
        "shared-memory",
        "B56",
        Rule::IpcObject,
        "attach a process's System V shared memory",
        |actor| on_target(actor, |target| actor.attempt(|| sys::attach_memory(target.memory))),
    )
    .on_process(),
    Behaviour::new("key", "B25", Rule::KernelKey, "ask about a process's key", describe_key)
        .on_process(),
    Behaviour::new("proc-status", "B54", Rule::ProcessList, "open /proc/PID/status", |actor| {
        open_entry(actor, "status", OFlag::O_RDONLY)
    })
    .on_process(),
    Behaviour::new(
        "oom-score",
        "B56",
        Rule::ProcessPriority,
        "open /proc/PID/oom_score_adj for writing",
        |actor| open_entry(actor, "oom_score_adj", OFlag::O_WRONLY),
    )
    .on_process(),
];

fn on_target(actor: &Actor, act: impl FnOnce(TargetProcess) -> Report) -> Report {
    actor.target().map_or_else(|report| report, act)
}

fn receive(actor: &Actor, loan: Loan) -> Report {
    match lend::ask(loan) {
        Ok(()) => actor.attempt(lend::take),
        Err(errno) => actor.unprepared("nothing is lent", errno),
    }
}

/// The error number of what the standard library tried.
fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn to_door(
    actor: &Actor,
    name: fn(u32) -> std::io::Result<SocketAddr>,
    act: impl FnOnce(&SocketAddr) -> std::io::Result<()>,
) -> Report {
    on_target(actor, |target| match name(target.pid.unsigned_abs()) {
        Ok(door) => actor.attempt(|| act(&door).map_err(|error| errno(&error))),
        Err(error) => actor.unprepared("an abstract name", errno(&error)),
    })
}

fn unix_connect(actor: &Actor) -> Report {
    to_door(actor, lend::stream_door, |door| UnixStream::connect_addr(door).map(drop))
}

fn unix_datagram(actor: &Actor) -> Report {
    let socket = match UnixDatagram::unbound() {
        Ok(socket) => socket,
        Err(error) => return actor.unprepared("a socket", errno(&error)),
    };
    to_door(actor, lend::datagram_door, |door| socket.send_to_addr(b"", door).map(drop))
}

fn stream_to(actor: &Actor, path: &std::path::Path) -> Report {
    actor.attempt(|| UnixStream::connect(path).map_err(|error| errno(&error)))
}

fn describe_key(actor: &Actor) -> Report {
    on_target(actor, |target| match target.key {
        Some(key) => actor.attempt(|| sys::describe_key(key)),
        None => actor.unavailable("this kernel keeps no keys"),
    })
}

fn open_entry(actor: &Actor, name: &str, flags: OFlag) -> Report {
    on_target(actor, |target| {
        let path = format!("/proc/{}/{name}", target.pid);
        actor.attempt(|| open(path.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty()))
    })
}
