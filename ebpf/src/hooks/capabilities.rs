//! The capability ceiling.

use bulkhead_abi::{Phase, Relation, Rule, Rung};
use bulkhead_guard::capabilities;

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments, Task},
    maps::LEVELS,
    settle::{PASS, Site, lone, unaudited},
};

programs! {
    lsm_capable "lsm/capable", fentry_capable "fentry/security_capable" => capable;
}

/// capable(cred, ns, cap, opts). Under BPF LSM this runs after the kernel's own check, so that
/// what comes here is the use of a capability that the process holds.
#[inline(always)]
fn capable(arguments: Arguments, rung: Rung) -> i32 {
    let level = kernel::user_namespace_level(arguments.object(1));
    if level != 0 {
        return PASS;
    }
    let Some(actor) = Actor::current() else { return PASS };
    let Some(table) = LEVELS.get(u32::from(actor.identity.slot)) else { return PASS };
    let cap = arguments.number(2) as u32;
    if !capabilities::exceeds(table, cap, level) {
        return PASS;
    }
    let task = Task::current();
    let own = kernel::held_by(task.credentials());
    let asked = kernel::held_by(kernel::address_of(arguments.object(0)));
    if !capabilities::is_own_use(own, asked, task.uses_io_uring(), cap) {
        return PASS;
    }
    let phase = if matches!(rung, Rung::Lsm) { Phase::Done } else { Phase::Attempted };
    let site = Site { rung, phase };
    if arguments.number(3) as u32 & capabilities::OPT_NOAUDIT != 0 {
        return unaudited(&actor, Rule::CapabilityCeiling, Relation::None, site);
    }
    lone(&actor, Rule::CapabilityCeiling, [u64::from(cap), 0, 0], site)
}
