//! What becomes of an adjustment in a runtime of some version.

use crate::{
    NriVersion,
    api::{Container, ContainerAdjustment, LinuxResources, OptionalInt64},
};

/// The container that a runtime with this version of NRI makes.
pub fn adjusted(
    container: &Container,
    adjustment: &ContainerAdjustment,
    nri: NriVersion,
) -> Container {
    let mut made = container.clone();
    // Appended, so that a type can be there twice; the last one counts in the runtime.
    made.rlimits.extend(adjustment.rlimits.iter().cloned());
    let Some(wanted) = &adjustment.linux else { return made };
    let linux = made.linux.get_or_insert_default();
    if let Some(resources) = &wanted.resources {
        adjust_resources(linux.resources.get_or_insert_default(), resources, nri);
    }
    if nri.takes_oom_score()
        && let Some(score) = &wanted.oom_score_adj
    {
        linux.oom_score_adj = Some(*score);
    }
    if nri.takes_seccomp()
        && let Some(policy) = &wanted.seccomp_policy
    {
        // Replaced as a whole, and the default errno is lost on the way.
        let mut policy = policy.clone();
        policy.default_errno = None;
        linux.seccomp_policy = Some(policy);
    }
    made
}

fn adjust_resources(made: &mut LinuxResources, wanted: &LinuxResources, nri: NriVersion) {
    if let Some(memory) = &wanted.memory {
        let made = made.memory.get_or_insert_default();
        if let Some(limit) = &memory.limit {
            made.limit = Some(*limit);
            // The runtime sets swap with it.
            made.swap = Some(OptionalInt64 { value: limit.value });
        }
        made.swap = memory.swap.or(made.swap);
        made.reservation = memory.reservation.or(made.reservation);
    }
    if let Some(cpu) = &wanted.cpu {
        let made = made.cpu.get_or_insert_default();
        made.shares = cpu.shares.or(made.shares);
        made.quota = cpu.quota.or(made.quota);
        made.period = cpu.period.or(made.period);
    }
    made.unified.extend(wanted.unified.clone());
    if nri.takes_oom_score()
        && let Some(pids) = &wanted.pids
    {
        made.pids = Some(*pids);
    }
}
