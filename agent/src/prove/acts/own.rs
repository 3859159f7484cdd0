//! Acts against the agent. `prove` plays it: the process is its own, the file and the socket are
//! some that it made and called the agent's.

use std::os::unix::net::UnixStream;

use bulkhead_abi::Rule;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::{signal::kill, stat::Mode},
    unistd::{getppid, mkdir},
};

use crate::prove::{
    actor::{Actor, Report},
    behaviour::Behaviour,
    prop::Prop,
};

/// Names in the directory that is called the agent's.
pub(crate) const FILE: &str = "file";
pub(crate) const SOCKET: &str = "socket";

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "agent-signal",
        "B55",
        Rule::OwnProcess,
        "ask whether the agent's process may be signalled (signal 0)",
        |actor| actor.attempt(|| kill(getppid(), None)),
    )
    .quick(),
    Behaviour::new(
        "agent-file",
        "B74",
        Rule::OwnFile,
        "open a file of the agent for writing",
        open_file,
    )
    .quick(),
    Behaviour::new(
        "agent-socket",
        "B58",
        Rule::OwnSocket,
        "connect to the agent's socket",
        connect,
    )
    .quick(),
    Behaviour::new(
        "bpf-pin",
        "B20",
        Rule::PinnedName,
        "make a directory on a BPF file system",
        |actor| {
            let name = actor.at("pins/bulkhead-prove");
            actor.attempt(|| mkdir(&name, Mode::S_IRWXU))
        },
    )
    .props(&[Prop::Kernel("bpf", "", "pins")])
    .quick(),
];

fn open_file(actor: &Actor) -> Report {
    let path = actor.of_agent(FILE);
    actor.attempt(|| open(&path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()))
}

fn connect(actor: &Actor) -> Report {
    let path = actor.of_agent(SOCKET);
    actor.attempt(|| UnixStream::connect(&path).map_err(|error| errno_of(&error)))
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
}
