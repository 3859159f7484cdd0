//! Acts on other processes: ptrace and all that asks as ptrace does, signals, limits, priority.

use bulkhead_abi::{Phase, Relation, Rule, Rung, TaskState};
use bulkhead_guard::{processes, relation::relation};

use super::programs;
use crate::{
    actor::{self, Actor},
    kernel::{self, Arguments, Task},
    own,
    settle::{PASS, Site, TaskTarget, on_task, unaudited},
};

programs! {
    lsm_ptrace_access_check "lsm/ptrace_access_check", fentry_ptrace_access_check "fentry/security_ptrace_access_check" => ptrace_access_check;
    lsm_ptrace_traceme "lsm/ptrace_traceme", fentry_ptrace_traceme "fentry/security_ptrace_traceme" => ptrace_traceme;
    lsm_task_kill "lsm/task_kill", fentry_task_kill "fentry/security_task_kill" => task_kill;
    lsm_task_setrlimit "lsm/task_setrlimit", fentry_task_setrlimit "fentry/security_task_setrlimit" => task_setrlimit;
    lsm_task_setnice "lsm/task_setnice", fentry_task_setnice "fentry/security_task_setnice" => task_setnice;
    lsm_task_setioprio "lsm/task_setioprio", fentry_task_setioprio "fentry/security_task_setioprio" => task_setioprio;
    lsm_task_setscheduler "lsm/task_setscheduler", fentry_task_setscheduler "fentry/security_task_setscheduler" => task_setscheduler;
    lsm_task_movememory "lsm/task_movememory", fentry_task_movememory "fentry/security_task_movememory" => task_movememory;
}

/// ptrace_access_check(child, mode). Threads of one process never come here.
#[inline(always)]
fn ptrace_access_check(arguments: Arguments, rung: Rung) -> i32 {
    let mode = arguments.number(1) as u32;
    let target = Task(arguments.object(0));
    let site = Site { rung, phase: Phase::Attempted };
    let Some((actor, relation, target)) = meet(target, true) else { return PASS };
    let (rule, relation) = of_agent(&target, processes::of_ptrace_mode(mode), relation);
    if mode & processes::MODE_NOAUDIT != 0 {
        return unaudited(&actor, rule, relation, site);
    }
    on_task(&actor, rule, relation, &target, [u64::from(mode), 0, 0], site)
}

/// ptrace_traceme(parent): the current task lets its parent trace it.
#[inline(always)]
fn ptrace_traceme(arguments: Arguments, rung: Rung) -> i32 {
    let mode = u64::from(processes::MODE_ATTACH);
    let target = Task(arguments.object(0));
    on_other(target, Rule::ProcessAttach, mode, Site { rung, phase: Phase::Attempted })
}

/// task_kill(p, info, sig, cred). Signals that the kernel itself sends do not come here.
#[inline(always)]
fn task_kill(arguments: Arguments, rung: Rung) -> i32 {
    let signal = arguments.number(2) & 0xffff_ffff;
    let target = Task(arguments.object(0));
    on_other(target, Rule::Signal, signal, Site { rung, phase: Phase::Attempted })
}

/// task_setrlimit(p, resource, new_rlim).
#[inline(always)]
fn task_setrlimit(arguments: Arguments, rung: Rung) -> i32 {
    let resource = arguments.number(1) & 0xffff_ffff;
    let target = Task(arguments.object(0));
    on_other(target, Rule::ProcessLimits, resource, Site { rung, phase: Phase::Done })
}

/// task_setnice(p, nice).
#[inline(always)]
fn task_setnice(arguments: Arguments, rung: Rung) -> i32 {
    priority(arguments, rung)
}

/// task_setioprio(p, ioprio).
#[inline(always)]
fn task_setioprio(arguments: Arguments, rung: Rung) -> i32 {
    priority(arguments, rung)
}

/// task_setscheduler(p): policy, priority and affinity.
#[inline(always)]
fn task_setscheduler(arguments: Arguments, rung: Rung) -> i32 {
    priority(arguments, rung)
}

/// task_movememory(p): migrate_pages(2), move_pages(2).
#[inline(always)]
fn task_movememory(arguments: Arguments, rung: Rung) -> i32 {
    priority(arguments, rung)
}

#[inline(always)]
fn priority(arguments: Arguments, rung: Rung) -> i32 {
    let target = Task(arguments.object(0));
    on_other(target, Rule::ProcessPriority, 0, Site { rung, phase: Phase::Done })
}

#[inline(always)]
fn on_other(target: Task, rule: Rule, argument: u64, site: Site) -> i32 {
    let Some((actor, relation, target)) = meet(target, false) else { return PASS };
    let (rule, relation) = of_agent(&target, rule, relation);
    on_task(&actor, rule, relation, &target, [argument, 0, 0], site)
}

/// Both ends and their relation; `None` where there is nothing to judge: the host acts, or a
/// workload on itself. What is at hand is asked before anything is looked up.
///
/// With `guard_setup`, a process that is still the runtime's counts as the host's even inside the
/// actor's own container: what runs there is the runtime's code with the runtime's descriptors.
#[inline(always)]
fn meet(target: Task, guard_setup: bool) -> Option<(Actor, Relation, TaskTarget)> {
    let current = Task::current();
    if target.tgid() == current.tgid() {
        return None;
    }
    // Where tasks have been moved out, sharing a cgroup says nothing.
    let same_cgroup = target.cgroup() == current.cgroup() && !actor::moved_once();
    if same_cgroup && !guard_setup {
        return None;
    }
    let actor = Actor::current()?;
    let setup = guard_setup && matches!(actor::state_of(target), TaskState::Setup);
    if same_cgroup && !setup {
        return None;
    }
    let cgroup = target.cgroup();
    let identity = actor::identity_of_task(target);
    let relation = if setup { Relation::Host } else { relation(&actor.identity, &identity) };
    if matches!(relation, Relation::Own) {
        return None;
    }
    let task = kernel::address_of(target.0);
    let target = TaskTarget { task, cgroup: cgroup.id(), identity, setup };
    Some((actor, relation, target))
}

/// Where the other process is the agent's, the act is against the guard itself.
#[inline(always)]
fn of_agent(target: &TaskTarget, rule: Rule, relation: Relation) -> (Rule, Relation) {
    // In a cluster the agent is in a container itself.
    if matches!(relation, Relation::Own) || !own::is_process(target.task) {
        return (rule, relation);
    }
    match processes::on_agent(rule) {
        Rule::OwnProcess => (Rule::OwnProcess, Relation::None),
        rule => (rule, relation),
    }
}

/// The rung below fentry: signal_generate(sig, info, task, group, result). Signals from the kernel
/// bear no sender; those from user space say so (SEND_SIG_NOINFO is 0, SEND_SIG_PRIV is 1).
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/signal_generate")]
fn tp_signal_generate(context: *mut core::ffi::c_void) -> i32 {
    let arguments = Arguments(context);
    let info = arguments.number(1);
    // asm-generic/siginfo.h: si_code is the third int; what user space sends has si_code <= 0.
    if info <= 1 || kernel::read::<i32>(info + 8).unwrap_or(1) > 0 {
        return PASS;
    }
    let signal = arguments.number(0) & 0xffff_ffff;
    let target = Task(arguments.object(2));
    on_other(target, Rule::Signal, signal, Site { rung: Rung::Tracepoint, phase: Phase::Done })
}
