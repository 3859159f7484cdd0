use bulkhead_abi::{Rule, Verdict};

use super::*;
use crate::prove::acts::named;

const EPERM: i32 = Errno::EPERM as i32;
const DONE: Act = Act::Done { before: 100, after: 200, errno: 0 };
const REFUSED: Act = Act::Done { before: 100, after: 200, errno: EPERM };
const CGROUP: u64 = 7;

fn sighting(rule: Rule, relation: Relation, effect: Effect) -> Sighting {
    Sighting {
        received: 190,
        time: 150,
        cgroup: CGROUP,
        rule,
        relation,
        verdict: Verdict::Deny,
        effect,
    }
}

fn outcome(
    name: &str,
    relation: Relation,
    promise: Promise,
    act: &Act,
    seen: &[Sighting],
) -> Outcome {
    let behaviour = named(name).unwrap();
    find(behaviour, relation, promise, act, &of_act(act, CGROUP, seen)).outcome
}

fn mount(promise: Promise, act: &Act, seen: &[Sighting]) -> Outcome {
    outcome("mount-tmpfs", Relation::None, promise, act, seen)
}

fn twin(act: &Act, seen: &[Sighting]) -> Outcome {
    outcome("ptrace-seize", Relation::Own, Promise::Allowed, act, seen)
}

#[test]
fn a_refusal_with_its_record_is_blocked() {
    let seen = [sighting(Rule::Mount, Relation::None, Effect::Denied)];
    assert_eq!(mount(Promise::Blocked, &REFUSED, &seen), Outcome::Blocked);
    assert_eq!(mount(Promise::Blocked, &Act::Killed { before: 100 }, &seen), Outcome::Blocked);
}

#[test]
fn a_record_that_claims_a_refusal_that_did_not_happen_is_broken() {
    let seen = [sighting(Rule::Mount, Relation::None, Effect::Denied)];
    assert_eq!(mount(Promise::Blocked, &DONE, &seen), Outcome::Broken);
}

#[test]
fn an_act_that_goes_through_with_a_record_is_seen_and_breaks_the_promise_to_block() {
    let seen = [sighting(Rule::Mount, Relation::None, Effect::NotDenied)];
    assert_eq!(mount(Promise::Blocked, &DONE, &seen), Outcome::Seen);
    assert!(!Outcome::Seen.keeps(Promise::Blocked, Verdict::Deny));
    assert!(Outcome::Seen.keeps(Promise::Seen, Verdict::Deny));
}

#[test]
fn blocking_more_than_the_verdict_asks_for_breaks_the_promise_too() {
    assert!(!Outcome::Blocked.keeps(Promise::Seen, Verdict::Audit));
    assert!(!Outcome::Blocked.keeps(Promise::Allowed, Verdict::Off));
}

#[test]
fn a_weak_node_may_do_more_than_it_promised() {
    assert!(Outcome::Blocked.keeps(Promise::PartlySeen, Verdict::Deny));
    assert!(Outcome::Seen.keeps(Promise::Nothing, Verdict::Deny));
}

#[test]
fn silence_is_missed() {
    assert_eq!(mount(Promise::Seen, &DONE, &[]), Outcome::Missed);
    assert!(!Outcome::Missed.keeps(Promise::Seen, Verdict::Audit));
    assert!(!Outcome::Missed.keeps(Promise::Blocked, Verdict::Deny));
    assert!(Outcome::Missed.keeps(Promise::Nothing, Verdict::Deny));
}

#[test]
fn records_of_others_and_of_other_times_do_not_count() {
    let mount_seen = sighting(Rule::Mount, Relation::None, Effect::Observed);
    let others = [
        Sighting { cgroup: 8, ..mount_seen },
        Sighting { time: 99, ..mount_seen },
        Sighting { time: 201, ..mount_seen },
    ];
    assert_eq!(mount(Promise::Seen, &DONE, &others), Outcome::Missed);
}

#[test]
fn a_record_of_another_rule_counts_only_if_it_refused() {
    let ceiling = |effect| [sighting(Rule::CapabilityCeiling, Relation::None, effect)];
    assert_eq!(mount(Promise::Seen, &DONE, &ceiling(Effect::Observed)), Outcome::Missed);
    assert_eq!(mount(Promise::Blocked, &REFUSED, &ceiling(Effect::Denied)), Outcome::Blocked);
}

#[test]
fn a_refusal_without_a_record_is_laid_at_the_guards_door_where_the_node_lets_it_through() {
    let behaviour = named("mount-tmpfs").unwrap();
    let find = || find(behaviour, Relation::None, Promise::Blocked, &REFUSED, &[]);
    assert_eq!(find().outcome, Outcome::RefusedElsewhere);
    assert!(needs_comparison(&find()));
    let mut with_node_refusing = find();
    compare(&mut with_node_refusing, &REFUSED);
    assert_eq!(with_node_refusing.outcome, Outcome::RefusedElsewhere);
    let mut with_node_allowing = find();
    compare(&mut with_node_allowing, &DONE);
    assert_eq!(with_node_allowing.outcome, Outcome::Missed);
}

#[test]
fn a_twin_is_allowed_when_it_goes_through_in_silence() {
    assert_eq!(twin(&DONE, &[]), Outcome::Allowed);
}

#[test]
fn a_twin_with_a_record_or_a_refusal_is_a_false_alarm() {
    let seen = |effect| [sighting(Rule::ProcessAttach, Relation::Own, effect)];
    assert_eq!(twin(&DONE, &seen(Effect::Observed)), Outcome::FalseAlarm);
    assert_eq!(twin(&REFUSED, &seen(Effect::Denied)), Outcome::FalseAlarm);
    let ceiling = [sighting(Rule::CapabilityCeiling, Relation::None, Effect::Denied)];
    assert_eq!(twin(&REFUSED, &ceiling), Outcome::FalseAlarm);
}

#[test]
fn a_neighbour_reported_as_somebody_else_is_the_wrong_relation() {
    let seen = [sighting(Rule::ProcessAttach, Relation::Host, Effect::Observed)];
    let find = |relation| outcome("ptrace-seize", relation, Promise::Seen, &DONE, &seen);
    assert_eq!(find(Relation::CrossTenant), Outcome::WrongRelation);
    assert_eq!(find(Relation::Host), Outcome::Seen);
}

#[test]
fn a_call_that_the_kernel_does_not_have_is_unavailable() {
    let act = Act::Done { before: 100, after: 200, errno: Errno::ENOSYS as i32 };
    assert_eq!(mount(Promise::Blocked, &act, &[]), Outcome::Unavailable);
}

#[test]
fn a_family_that_the_kernel_lacks_is_missed_when_the_guard_kept_silent() {
    let act = Act::Done { before: 100, after: 200, errno: Errno::EAFNOSUPPORT as i32 };
    let find = |seen: &[Sighting]| outcome("socket-rds", Relation::None, Promise::Seen, &act, seen);
    assert_eq!(find(&[]), Outcome::Missed);
    let seen = [sighting(Rule::SocketRare, Relation::None, Effect::Observed)];
    assert_eq!(find(&seen), Outcome::Seen);
}
