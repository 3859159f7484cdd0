//! New namespaces for oneself, and other processes' namespaces.

use bulkhead_abi::Rule;
use nix::{
    libc,
    sched::{CloneFlags, setns, unshare},
    unistd::Pid,
};

use crate::prove::{
    actor::{Actor, Report},
    behaviour::{Behaviour, CAP_SYS_ADMIN},
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "unshare-user",
        "B10",
        Rule::UserNamespace,
        "make a user namespace",
        unshare_user,
    )
    .quick(),
    Behaviour::new(
        "clone3-user",
        "B10",
        Rule::UserNamespace,
        "make a process in a user namespace of its own",
        clone3_user,
    ),
    Behaviour::new(
        "clone3-uts",
        "B12",
        Rule::CloneNamespaces,
        "make a process in a UTS namespace of its own, by clone3",
        clone3_uts,
    )
    .needs(&[CAP_SYS_ADMIN])
    .quick(),
    Behaviour::new(
        "clone3-net",
        "B12",
        Rule::CloneNamespaces,
        "make a process in a network namespace of its own, by clone3",
        clone3_net,
    )
    .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new(
        "clone-pid",
        "B12",
        Rule::CloneNamespaces,
        "make a process in a pid namespace of its own, by clone",
        clone_pid,
    )
    .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new(
        "setns-pidfd",
        "B14",
        Rule::JoinNamespaces,
        "enter a process's UTS namespace by its pidfd",
        setns_pidfd,
    )
    .on_process()
    .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new(
        "kcmp",
        "B56",
        Rule::JoinNamespaces,
        "compare a process's kernel objects with one's own",
        kcmp,
    )
    .on_process()
    .quick(),
];

fn unshare_user(actor: &Actor) -> Report {
    actor.attempt(|| unshare(CloneFlags::CLONE_NEWUSER))
}

fn clone3_user(actor: &Actor) -> Report {
    actor.attempt(|| sys::clone3_and_reap(libc::CLONE_NEWUSER))
}

fn clone3_uts(actor: &Actor) -> Report {
    actor.attempt(|| sys::clone3_and_reap(libc::CLONE_NEWUTS))
}

fn clone3_net(actor: &Actor) -> Report {
    actor.attempt(|| sys::clone3_and_reap(libc::CLONE_NEWNET))
}

fn clone_pid(actor: &Actor) -> Report {
    actor.attempt(|| sys::clone_and_reap(libc::CLONE_NEWPID))
}

fn setns_pidfd(actor: &Actor) -> Report {
    let pid = match actor.target_pid() {
        Ok(pid) => pid,
        Err(report) => return report,
    };
    match sys::pidfd_open(pid) {
        Ok(pidfd) => actor.attempt(|| setns(&pidfd, CloneFlags::CLONE_NEWUTS)),
        Err(errno) => actor.unprepared("pidfd_open", errno),
    }
}

fn kcmp(actor: &Actor) -> Report {
    match actor.target_pid() {
        Ok(pid) => actor.attempt(|| sys::kcmp_files(Pid::this(), pid)),
        Err(report) => report,
    }
}
