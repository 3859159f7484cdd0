//! bpf(2) and perf_event_open(2).

use bulkhead_abi::{Phase, Rule, Rung};

use super::programs;
use crate::{
    actor::Actor,
    kernel::Arguments,
    settle::{PASS, Site, lone},
};

programs! {
    lsm_bpf "lsm/bpf", fentry_bpf "fentry/security_bpf" => bpf;
    lsm_perf_event_open "lsm/perf_event_open", fentry_perf_event_open "fentry/security_perf_event_open" => perf_event_open;
}

/// bpf(cmd, attr, size).
#[inline(always)]
fn bpf(arguments: Arguments, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    let command = arguments.number(0) & 0xffff_ffff;
    lone(&actor, Rule::Bpf, [command, 0, 0], Site { rung, phase: Phase::Attempted })
}

/// perf_event_open: its arguments changed between kernels, so that none is read.
#[inline(always)]
fn perf_event_open(_arguments: Arguments, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    lone(&actor, Rule::PerfEvent, [0; 3], Site { rung, phase: Phase::Attempted })
}
