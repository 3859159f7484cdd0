use super::*;
use crate::{WorkloadFacts, configuration, level};

const DAY: Date = Date::constant(2026, 11, 23);

fn policy(tenants: &[(&str, &str)]) -> Policy {
    let mut text = "tenants:\n".to_owned();
    for (name, level) in tenants {
        text += &format!("- {{ name: {name}, level: {level}, namespaces: [{name}] }}\n");
    }
    configuration::read("test.yaml", &text).unwrap_or_else(|refused| panic!("{refused}")).policy
}

fn slot(slots: &Slots, policy: &Policy, namespace: &str) -> u16 {
    let facts = WorkloadFacts { namespace: Some(namespace), ..WorkloadFacts::default() };
    slots.slot(&policy.assign(&facts))
}

fn table(name: &str) -> LevelTable {
    level::built_in().unwrap().iter().find(|level| level.name() == name).unwrap().table()
}

#[test]
fn the_fixed_slots_are_always_written() {
    let tables = Slots::new().update(&policy(&[("a", "untrusted")]), DAY);
    assert_eq!(tables[0], (WATCH_SLOT, table("trusted")));
    assert_eq!(tables[1], (PENDING_SLOT, table("untrusted")));
    assert_eq!(tables[2], (FIRST, table("untrusted")));
    assert_eq!(tables.len(), 3);
}

#[test]
fn a_tenant_keeps_its_slot_through_reloads() {
    let mut slots = Slots::new();
    let first = policy(&[("a", "trusted"), ("b", "untrusted"), ("c", "trusted")]);
    slots.update(&first, DAY);
    let of_b = slot(&slots, &first, "b");
    let second = policy(&[("z", "trusted"), ("b", "semi-trusted")]);
    let tables = slots.update(&second, DAY);
    assert_eq!(slot(&slots, &second, "b"), of_b);
    assert!(tables.contains(&(of_b, table("semi-trusted"))));
}

#[test]
fn a_former_tenant_s_slot_rests_for_one_reload() {
    let mut slots = Slots::new();
    let first = policy(&[("a", "trusted")]);
    slots.update(&first, DAY);
    let of_a = slot(&slots, &first, "a");
    let second = policy(&[("b", "untrusted")]);
    slots.update(&second, DAY);
    assert_ne!(slot(&slots, &second, "b"), of_a, "containers of a may still refer to it");
    let third = policy(&[("b", "untrusted"), ("c", "trusted")]);
    slots.update(&third, DAY);
    assert_eq!(slot(&slots, &third, "c"), of_a);
}

#[test]
fn as_many_tenants_as_allowed_can_all_be_exchanged_at_once() {
    let mut slots = Slots::new();
    for generation in 0..4 {
        let names: Vec<String> = (0..MAX_TENANTS).map(|n| format!("t{generation}-{n}")).collect();
        let tenants: Vec<(&str, &str)> =
            names.iter().map(|name| (name.as_str(), "semi-trusted")).collect();
        let policy = policy(&tenants);
        let tables = slots.update(&policy, DAY);
        assert_eq!(tables.len(), MAX_TENANTS + 2);
        let used: BTreeSet<u16> = tables.iter().map(|(slot, _)| *slot).collect();
        assert_eq!(used.len(), tables.len(), "two tenants share a slot");
        assert!(used.iter().all(|&slot| slot < CANARY_SLOT));
    }
}

#[test]
fn the_unnamed_are_watched_and_the_unknown_are_pending() {
    let mut slots = Slots::new();
    let policy = policy(&[("a", "untrusted")]);
    assert_eq!(slot(&slots, &policy, "a"), PENDING_SLOT, "not taken over yet");
    slots.update(&policy, DAY);
    assert_eq!(slot(&slots, &policy, "somebody"), WATCH_SLOT);
    assert_eq!(slot(&slots, &policy, "a"), FIRST);
}

#[test]
fn tenant_numbers_begin_at_one_and_never_change() {
    let mut numbers = TenantNumbers::new();
    assert_eq!(numbers.number("a"), Ok(1));
    assert_eq!(numbers.number("b"), Ok(2));
    assert_eq!(numbers.number("a"), Ok(1));
    assert_eq!((numbers.name(0), numbers.name(2), numbers.name(3)), (None, Some("b"), None));
    assert_ne!(bulkhead_abi::UNIDENTIFIED_TENANT, 1);
}

#[test]
fn one_tenant_too_many_is_an_error_and_harms_no_other() {
    let mut numbers = TenantNumbers::new();
    for n in 0..MAX_TENANT_NUMBERS {
        numbers.number(&n.to_string()).unwrap();
    }
    let refused = numbers.number("late").unwrap_err();
    assert!(refused.to_string().contains("\"late\""), "{refused}");
    assert_eq!(numbers.number("7"), Ok(8));
}

#[test]
fn the_next_agent_knows_the_slots_and_numbers_again() {
    let mut slots = Slots::new();
    slots.update(&policy(&[("a", "trusted"), ("b", "untrusted")]), DAY);
    let second = policy(&[("z", "trusted"), ("b", "untrusted")]);
    slots.update(&second, DAY);
    let held =
        |slots: &Slots, name: &str| slots.held_by(name).map(|slot| (Some(name.to_owned()), slot));
    let known: Vec<_> = ["a", "b", "z"].iter().filter_map(|name| held(&slots, name)).collect();
    assert_eq!(known.len(), 3, "the one that rests too");
    let mut again = Slots::recover(known.clone());
    let third = policy(&[("c", "trusted"), ("z", "trusted"), ("b", "untrusted")]);
    again.update(&third, DAY);
    assert_eq!(slot(&again, &third, "b"), slot(&slots, &second, "b"));
    assert_eq!(slot(&again, &third, "z"), slot(&slots, &second, "z"));
    assert!(!known.iter().any(|(_, taken)| *taken == slot(&again, &third, "c")));
}

#[test]
fn a_number_is_never_given_twice_though_its_name_is_lost() {
    let known = [(2, Some("b".to_owned())), (3, None), (0, Some("nobody".to_owned()))];
    let mut numbers = TenantNumbers::recover(known);
    assert_eq!(numbers.known("b"), Some(2));
    assert_eq!(numbers.name(3), None);
    assert_eq!(numbers.number("new"), Ok(4));
    assert_eq!(numbers.name(4), Some("new"));
}

#[test]
fn a_slot_that_containers_refer_to_is_not_given_away_by_the_next_agent() {
    // The first agent had a tenant and, in the slot after, an exception of it.
    let known =
        [(Some("a".to_owned()), FIRST), (None, FIRST + 1), (None, FIRST), (None, WATCH_SLOT)];
    let mut again = Slots::recover(known);
    let first = policy(&[("a", "trusted"), ("b", "untrusted")]);
    let tables = again.update(&first, DAY);
    assert_eq!(slot(&again, &first, "a"), FIRST);
    assert_eq!(slot(&again, &first, "b"), FIRST + 2);
    assert!(!tables.iter().any(|(slot, _)| *slot == FIRST + 1), "it stays as it was");
    // By now every container has been placed.
    let second = policy(&[("a", "trusted"), ("b", "untrusted"), ("c", "trusted")]);
    again.update(&second, DAY);
    assert_eq!(slot(&again, &second, "c"), FIRST + 1);
}
