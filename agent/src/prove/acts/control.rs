//! Signals, limits and priorities of another process. Every value set is the one that the target
//! has already, and the signal is one that it ignores.

use bulkhead_abi::Rule;
use nix::{
    sched::{sched_getaffinity, sched_setaffinity},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::prove::{
    actor::{Actor, Report},
    behaviour::Behaviour,
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new("kill", "B55", Rule::Signal, "signal a process (SIGURG)", send)
        .on_process()
        .quick(),
    Behaviour::new("tgkill", "B55", Rule::Signal, "signal a thread", send_to_thread).on_process(),
    Behaviour::new("sigqueue", "B55", Rule::Signal, "signal with a value", send_value).on_process(),
    Behaviour::new("pidfd-signal", "B55", Rule::Signal, "signal by pidfd", send_by_pidfd)
        .on_process(),
    Behaviour::new("prlimit", "B56", Rule::ProcessLimits, "set a process's limits", set_limit)
        .on_process()
        .quick(),
    Behaviour::new(
        "affinity",
        "B56",
        Rule::ProcessPriority,
        "set the processors that a process runs on",
        set_affinity,
    )
    .on_process(),
    Behaviour::new(
        "scheduler",
        "B56",
        Rule::ProcessPriority,
        "set a process's scheduling policy",
        set_scheduler,
    )
    .on_process(),
    Behaviour::new("nice", "B56", Rule::ProcessPriority, "set a process's nice value", set_nice)
        .on_process(),
    Behaviour::new(
        "io-priority",
        "B56",
        Rule::ProcessPriority,
        "set a process's I/O priority",
        set_io_priority,
    )
    .on_process(),
    Behaviour::new(
        "move-pages",
        "B56",
        Rule::ProcessPriority,
        "move a process's memory (to where it is)",
        ask_for_page,
    )
    .on_process(),
];

/// Harmless to whom it reaches: the default action of SIGURG is to ignore it.
const HARMLESS: Signal = Signal::SIGURG;

fn on_pid<T>(actor: &Actor, act: impl FnOnce(Pid) -> nix::Result<T>) -> Report {
    match actor.target_pid() {
        Ok(pid) => actor.attempt(|| act(pid)),
        Err(report) => report,
    }
}

fn send(actor: &Actor) -> Report {
    on_pid(actor, |pid| kill(pid, HARMLESS))
}

fn send_to_thread(actor: &Actor) -> Report {
    on_pid(actor, |pid| sys::tgkill(pid, HARMLESS))
}

fn send_value(actor: &Actor) -> Report {
    on_pid(actor, |pid| sys::sigqueue(pid, HARMLESS))
}

fn send_by_pidfd(actor: &Actor) -> Report {
    let pid = match actor.target_pid() {
        Ok(pid) => pid,
        Err(report) => return report,
    };
    match sys::pidfd_open(pid) {
        Ok(pidfd) => actor.attempt(|| sys::pidfd_send_signal(&pidfd, HARMLESS)),
        Err(errno) => actor.unprepared("pidfd_open", errno),
    }
}

/// The limit is this process's own: target and actor both inherited it from `prove`.
fn set_limit(actor: &Actor) -> Report {
    match sys::core_limit_of(Pid::from_raw(0)) {
        Ok(limit) => on_pid(actor, |pid| sys::set_core_limit_of(pid, &limit)),
        Err(errno) => actor.unprepared("cannot read one's own limit", errno),
    }
}

fn set_affinity(actor: &Actor) -> Report {
    match sched_getaffinity(Pid::from_raw(0)) {
        Ok(cpus) => on_pid(actor, |pid| sched_setaffinity(pid, &cpus)),
        Err(errno) => actor.unprepared("cannot read one's own processors", errno),
    }
}

fn set_scheduler(actor: &Actor) -> Report {
    on_pid(actor, sys::set_ordinary_scheduler_of)
}

fn set_nice(actor: &Actor) -> Report {
    match sys::nice_of(Pid::from_raw(0)) {
        Ok(nice) => on_pid(actor, |pid| sys::set_nice_of(pid, nice)),
        Err(errno) => actor.unprepared("cannot read one's own nice value", errno),
    }
}

fn set_io_priority(actor: &Actor) -> Report {
    on_pid(actor, sys::set_default_io_priority_of)
}

fn ask_for_page(actor: &Actor) -> Report {
    match actor.target() {
        Ok(target) => on_pid(actor, |pid| sys::ask_page_of(pid, target.buffer)),
        Err(report) => report,
    }
}
