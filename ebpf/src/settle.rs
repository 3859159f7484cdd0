//! From "this rule is met" to the kernel's answer: verdict, count, record, refusal.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP, helpers::generated::bpf_send_signal, maps::ring_buf::RingBufEntry,
};
use bulkhead_abi::{
    CountKey, File, Identity, Kind, Lone, MAX_RULES, OnFile, OnTask, Phase, Relation, Rule, Rung,
    TaskState, Verdict,
};

use crate::{
    actor::{self, Actor},
    generation::{self, Turn},
    kernel::Task,
    maps::{COUNTS, EVENTS, LEVELS, UNCOUNTED},
    record::{self, Decision},
};

/// The kernel's word for "let it pass".
pub const PASS: i32 = 0;
/// -EPERM (asm-generic/errno-base.h).
const REFUSE: i32 = -1;
/// asm-generic/signal.h
const SIGKILL: u32 = 9;

/// Where a rule was met.
#[derive(Clone, Copy)]
pub struct Site {
    pub rung: Rung,
    pub phase: Phase,
}

/// The target of an act on a process.
#[derive(Clone, Copy)]
pub struct TaskTarget {
    pub task: Task,
    pub cgroup: u64,
    pub identity: Identity,
    pub setup: bool,
}

/// An act without a target.
#[inline(always)]
pub fn lone(actor: &Actor, rule: Rule, arguments: [u64; 3], site: Site) -> i32 {
    settle(actor, rule, Relation::None, site, |decision| {
        let Some(mut entry) = EVENTS.reserve::<Lone>(0) else { return false };
        let lone = entry.as_mut_ptr();
        // SAFETY: `lone` points into the record that was reserved just above.
        unsafe {
            record::fill_header(&raw mut (*lone).header, Kind::Lone, decision, arguments);
            fill_actor(&raw mut (*lone).actor, actor);
        }
        submit(entry, decision);
        true
    })
}

/// An act on a process.
#[inline(always)]
pub fn on_task(
    actor: &Actor,
    rule: Rule,
    relation: Relation,
    target: &TaskTarget,
    arguments: [u64; 3],
    site: Site,
) -> i32 {
    settle(actor, rule, relation, site, |decision| {
        let Some(mut entry) = EVENTS.reserve::<OnTask>(0) else { return false };
        let act = entry.as_mut_ptr();
        // SAFETY: `act` points into the record that was reserved just above.
        unsafe {
            record::fill_header(&raw mut (*act).header, Kind::OnTask, decision, arguments);
            let end = &raw mut (*act).target;
            record::fill_party(end, target.task, target.cgroup, target.identity, target.setup);
            fill_actor(&raw mut (*act).actor, actor);
        }
        submit(entry, decision);
        true
    })
}

/// An act on a file, mount or superblock. `fill` writes the target.
#[inline(always)]
pub fn on_file(
    actor: &Actor,
    rule: Rule,
    arguments: [u64; 3],
    site: Site,
    fill: impl FnOnce(*mut File),
) -> i32 {
    settle(actor, rule, Relation::None, site, |decision| {
        let Some(mut entry) = EVENTS.reserve::<OnFile>(0) else { return false };
        let act = entry.as_mut_ptr();
        // SAFETY: `act` points into the record that was reserved just above.
        unsafe {
            record::fill_header(&raw mut (*act).header, Kind::OnFile, decision, arguments);
            fill(&raw mut (*act).target);
            fill_actor(&raw mut (*act).actor, actor);
        }
        submit(entry, decision);
        true
    })
}

/// The verdict alone, without count and record: for the kernel's own "may it?" questions, which
/// nobody asked on purpose.
#[inline(always)]
pub fn unaudited(actor: &Actor, rule: Rule, relation: Relation, site: Site) -> i32 {
    let Some(table) = LEVELS.get(u32::from(actor.identity.slot)) else { return PASS };
    let can_refuse = matches!(site.rung, Rung::Lsm | Rung::Cgroup);
    if can_refuse && table.verdict(rule, relation).refuses() && !current_is_setup() {
        REFUSE
    } else {
        PASS
    }
}

#[inline(always)]
fn settle(
    actor: &Actor,
    rule: Rule,
    relation: Relation,
    site: Site,
    report: impl FnOnce(&Decision) -> bool,
) -> i32 {
    let Some(table) = LEVELS.get(u32::from(actor.identity.slot)) else { return PASS };
    let verdict = table.verdict(rule, relation);
    let cgroup_program = matches!(site.rung, Rung::Cgroup);
    if matches!(verdict, Verdict::Off) || (!cgroup_program && current_is_setup()) {
        return PASS;
    }
    let effect = bulkhead_guard::effect(verdict, site.rung);
    match generation::turn() {
        Turn::Waits => return PASS,
        Turn::Relieved if !matches!(effect, bulkhead_abi::Effect::Denied) => return PASS,
        // The kernel asks every cgroup program, whatever another one has answered.
        Turn::Relieved if cgroup_program => return REFUSE,
        Turn::Relieved | Turn::Leads => {}
    }
    let decision = Decision { rule, relation, verdict, effect, rung: site.rung, phase: site.phase };
    let delivered = report(&decision);
    count(actor, &decision, delivered);
    if matches!(verdict, Verdict::Kill) && !cgroup_program {
        // SAFETY: a helper without pointers. It fails only for kernel threads and init, which
        // have no place in a workload; the refusal below holds either way.
        let _unsent = unsafe { bpf_send_signal(SIGKILL) };
    }
    if matches!(effect, bulkhead_abi::Effect::Denied) { REFUSE } else { PASS }
}

#[inline(always)]
fn current_is_setup() -> bool {
    matches!(actor::state_of(Task::current()), TaskState::Setup)
}

#[inline(always)]
unsafe fn fill_actor(party: *mut bulkhead_abi::Party, actor: &Actor) {
    // SAFETY: the caller gives a pointer into a record that it has reserved.
    unsafe {
        record::fill_party(party, Task::current(), actor.cgroup, actor.identity, false);
    }
}

/// Refusals wake the reader at once; the rest waits for its next look.
#[inline(always)]
fn submit<T: 'static>(entry: RingBufEntry<T>, decision: &Decision) {
    let quiet = !decision.verdict.refuses();
    entry.submit(if quiet { u64::from(BPF_RB_NO_WAKEUP) } else { 0 });
}

/// Counts, whether or not the record found room.
#[inline(always)]
fn count(actor: &Actor, decision: &Decision, delivered: bool) {
    let key = CountKey {
        container: if actor.identity.container == 0 {
            actor.cgroup
        } else {
            actor.identity.container
        },
        tenant: actor.identity.tenant,
        rule: decision.rule as u16,
        relation: decision.relation as u8,
        verdict: decision.verdict as u8,
        effect: decision.effect as u8,
        delivered: u8::from(delivered),
        padding: [0; 6],
    };
    if COUNTS.get_ptr_mut(key).is_none() {
        // Two processors may both come here; the loser's insert fails and the value is there.
        // linux/bpf.h: BPF_NOEXIST
        let _exists_or_full = COUNTS.insert(key, 0, 1);
    }
    match COUNTS.get_ptr_mut(key) {
        Some(value) => add_one(value),
        None => {
            let index = (decision.rule as u32) & (MAX_RULES as u32 - 1);
            if let Some(value) = UNCOUNTED.get_ptr_mut(index) {
                add_one(value);
            }
        }
    }
}

/// Adds one atomically: programs on other processors, and ones that were preempted on this one, add
/// to the same value. The target has no compare-and-swap, for which reason core offers no
/// `fetch_add` here.
#[inline(always)]
pub fn add_one(value: *mut u64) {
    // SAFETY: a map value, aligned to eight bytes, that every writer adds to with this instruction.
    unsafe {
        core::arch::asm!("lock *(u64 *)({value} + 0) += {one}", value = in(reg) value, one = in(reg) 1u64);
    }
}
