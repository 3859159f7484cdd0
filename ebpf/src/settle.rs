//! From "this rule is met" to the kernel's answer: verdict, count, record, refusal.

use core::mem::transmute;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP, helpers::generated::bpf_send_signal, maps::ring_buf::RingBufEntry,
};
use bulkhead_abi::{
    ActKey, CountKey, Fate, File, Identity, Kind, Lone, MAX_RULES, OnFile, OnTask, Phase, Relation,
    Rule, Rung, Told, Verdict, process_target,
};

use bulkhead_guard::setup;

use crate::{
    actor::{self, Actor},
    gate,
    generation::{self, Turn},
    instructions::{add_one, opaque},
    kernel::{self, Task, TaskAddress},
    lineage,
    maps::{COUNTS, LEVELS, UNCOUNTED},
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
    /// Its address; 0 where the target is a thing that a workload made, and no process.
    pub task: u64,
    pub cgroup: u64,
    pub identity: Identity,
    pub setup: bool,
}

/// An act without a target.
#[inline(always)]
pub fn lone(actor: &Actor, rule: Rule, arguments: [u64; 3], site: Site) -> i32 {
    settle(actor, rule, Relation::None, site, arguments, |decision| {
        let ring = gate::ring(decision.critical);
        let Some(mut entry) = ring.reserve::<Told<Lone>>(0) else { return false };
        let told = entry.as_mut_ptr();
        // SAFETY: `told` points into the record that was reserved just above.
        unsafe {
            let lone = &raw mut (*told).act;
            record::fill_header(&raw mut (*lone).header, Kind::Lone, decision, arguments);
            fill_actor(&raw mut (*lone).actor, actor);
            lineage::copy(&raw mut (*told).lineage, site.rung);
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
    let pid = TaskAddress(target.task).tgid();
    let end = process_target(target.identity.container, target.cgroup, pid, &arguments);
    settle(actor, rule, relation, site, end, |decision| {
        let ring = gate::ring(decision.critical);
        let Some(mut entry) = ring.reserve::<Told<OnTask>>(0) else { return false };
        let told = entry.as_mut_ptr();
        // SAFETY: `told` points into the record that was reserved just above.
        unsafe {
            let act = &raw mut (*told).act;
            record::fill_header(&raw mut (*act).header, Kind::OnTask, decision, arguments);
            let end = &raw mut (*act).target;
            record::fill_party(end, target.task, target.cgroup, target.identity, target.setup);
            fill_actor(&raw mut (*act).actor, actor);
            lineage::copy(&raw mut (*told).lineage, site.rung);
        }
        submit(entry, decision);
        true
    })
}

/// An act on a file, mount or superblock. `which` tells it from others (`record::file_at` and its
/// like); `fill` writes it into the record.
#[inline(always)]
pub fn on_file(
    actor: &Actor,
    rule: Rule,
    arguments: [u64; 3],
    site: Site,
    which: [u64; 3],
    fill: impl FnOnce(*mut File),
) -> i32 {
    on_file_of(actor, rule, Relation::None, arguments, site, which, fill)
}

/// An act on a file that has an owner.
#[inline(always)]
pub fn on_file_of(
    actor: &Actor,
    rule: Rule,
    relation: Relation,
    arguments: [u64; 3],
    site: Site,
    which: [u64; 3],
    fill: impl FnOnce(*mut File),
) -> i32 {
    settle(actor, rule, relation, site, which, |decision| {
        let ring = gate::ring(decision.critical);
        let Some(mut entry) = ring.reserve::<Told<OnFile>>(0) else { return false };
        let told = entry.as_mut_ptr();
        // SAFETY: `told` points into the record that was reserved just above.
        unsafe {
            let act = &raw mut (*told).act;
            record::fill_header(&raw mut (*act).header, Kind::OnFile, decision, arguments);
            fill(&raw mut (*act).target);
            fill_actor(&raw mut (*act).actor, actor);
            lineage::copy(&raw mut (*told).lineage, site.rung);
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
    target: [u64; 3],
    report: impl FnOnce(&Decision) -> bool,
) -> i32 {
    let Some(table) = LEVELS.get(u32::from(actor.identity.slot)) else { return PASS };
    let (rule, relation) = unknown(rule, relation);
    let verdict = table.verdict(rule, relation);
    let cgroup_program = matches!(site.rung, Rung::Cgroup);
    if matches!(verdict, Verdict::Off)
        || (!cgroup_program && !setup::is_judged(rule) && current_is_setup())
    {
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
    let critical = table.is_critical(rule, verdict);
    let decision = Decision {
        rule,
        relation,
        verdict,
        effect,
        rung: site.rung,
        phase: site.phase,
        critical,
        target,
    };
    let fate = tell(actor, &decision, report);
    count(actor, &decision, fate);
    if matches!(verdict, Verdict::Kill) && !cgroup_program {
        // SAFETY: a helper without pointers. It fails only for kernel threads and init, which
        // have no place in a workload; the refusal below holds either way.
        let _unsent = unsafe { bpf_send_signal(SIGKILL) };
    }
    if matches!(effect, bulkhead_abi::Effect::Denied) { REFUSE } else { PASS }
}

/// The same, but no constants to the verifier: it would go through all that follows once for each rule
/// that a hook can come to here.
#[inline(always)]
fn unknown(rule: Rule, relation: Relation) -> (Rule, Relation) {
    let numbers = opaque((rule as u64) << 8 | relation as u64);
    // SAFETY: both were made of such values just now.
    unsafe {
        (transmute::<u16, Rule>((numbers >> 8) as u16), transmute::<u8, Relation>(numbers as u8))
    }
}

/// Has the act told, if it is to be.
#[inline(always)]
fn tell(actor: &Actor, decision: &Decision, report: impl FnOnce(&Decision) -> bool) -> i32 {
    let (syscall, compat) = record::system_call(decision.rung);
    let key = ActKey {
        target: decision.target,
        container: counted_as(actor),
        tenant: actor.identity.tenant,
        process: record::current_process(),
        syscall,
        rule: decision.rule as u8,
        relation: decision.relation as u8,
        verdict: decision.verdict as u8,
        outcome: ActKey::outcome(decision.effect, decision.phase, compat),
    };
    let fate = gate::admit(&key, gate::payer(&actor.identity), u32::from(decision.critical));
    if fate != Fate::Delivered as i32 {
        return fate;
    }
    if !report(decision) {
        return Fate::NoRoom as i32;
    }
    gate::told(&key);
    fate
}

#[inline(always)]
fn counted_as(actor: &Actor) -> u64 {
    if actor.identity.container == 0 { actor.cgroup } else { actor.identity.container }
}

/// An answer as one of the two that there are. The verifier of 6.12 must see that; where the compiler
/// has made a calculation of a verdict, it does not.
#[inline(always)]
pub fn plain(answer: i32) -> i32 {
    if core::hint::black_box(answer) == PASS { PASS } else { REFUSE }
}

#[inline(always)]
fn current_is_setup() -> bool {
    actor::current_is_setup() == 1
}

#[inline(always)]
unsafe fn fill_actor(party: *mut bulkhead_abi::Party, actor: &Actor) {
    // SAFETY: the caller gives a pointer into a record that it has reserved.
    unsafe {
        let task = kernel::address_of(Task::current().0);
        record::fill_party(party, task, actor.cgroup, actor.identity, false);
    }
}

/// What is critical wakes the reader at once; the rest waits for its next look.
#[inline(always)]
fn submit<T: 'static>(entry: RingBufEntry<T>, decision: &Decision) {
    entry.submit(if decision.critical { 0 } else { u64::from(BPF_RB_NO_WAKEUP) });
}

/// Counts, whether or not the record found room.
#[inline(always)]
fn count(actor: &Actor, decision: &Decision, fate: i32) {
    let what =
        (decision.rule as u32) << 16 | (decision.relation as u32) << 8 | decision.verdict as u32;
    let outcome = (decision.effect as u32) << 8 | fate as u32 & 0xff;
    count_one(counted_as(actor), actor.identity.tenant, what, outcome);
}

/// A global function, so that its key lies on its own stack: the hooks' is full on 6.1.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_one(container: u64, tenant: u32, what: u32, outcome: u32) -> i32 {
    let key = CountKey {
        container,
        tenant,
        rule: (what >> 16) as u16,
        relation: (what >> 8) as u8,
        verdict: what as u8,
        effect: (outcome >> 8) as u8,
        fate: outcome as u8,
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
            let index = (what >> 16) & (MAX_RULES as u32 - 1);
            if let Some(value) = UNCOUNTED.get_ptr_mut(index) {
                add_one(value);
            }
        }
    }
    0
}
