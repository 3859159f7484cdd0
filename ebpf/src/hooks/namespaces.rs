//! New namespaces.

use bulkhead_abi::{Phase, Rule, Rung};
use bulkhead_guard::namespaces;

use super::programs;
use crate::{
    actor::Actor,
    kernel::Arguments,
    settle::{PASS, Site, lone},
};

programs! {
    lsm_userns_create "lsm/userns_create", fentry_userns_create "fentry/security_create_user_ns" => userns_create;
    lsm_task_alloc "lsm/task_alloc", fentry_task_alloc "fentry/security_task_alloc" => task_alloc;
}

/// userns_create(cred): unshare(2), clone(2) and clone3(2) with CLONE_NEWUSER.
#[inline(always)]
fn userns_create(_arguments: Arguments, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    lone(&actor, Rule::UserNamespace, [0; 3], Site { rung, phase: Phase::Attempted })
}

/// task_alloc(task, clone_flags): the kernel's copy of the flags, whatever call they came by.
#[inline(always)]
fn task_alloc(arguments: Arguments, rung: Rung) -> i32 {
    new_task(arguments.number(1), Site { rung, phase: Phase::Attempted })
}

/// The decision about a new task's flags, for every rung that sees them.
#[inline(always)]
pub fn new_task(flags: u64, site: Site) -> i32 {
    let Some(rule) = namespaces::of_clone_flags(flags) else { return PASS };
    let Some(actor) = Actor::current() else { return PASS };
    lone(&actor, rule, [flags, 0, 0], site)
}

/// The rung below fentry: task_newtask(task, clone_flags), when the task exists already.
#[unsafe(no_mangle)]
#[unsafe(link_section = "tp_btf/task_newtask")]
fn tp_task_newtask(context: *mut core::ffi::c_void) -> i32 {
    let flags = Arguments(context).number(1);
    new_task(flags, Site { rung: Rung::Tracepoint, phase: Phase::Done })
}
