//! Records that a real kernel gave (Debian's 6.12): a privileged pod of an untrusted tenant, with
//! the node's processes in sight, against another tenant's pod and the node.
//!
//! Made by `bulkhead run --record FILE` in the guest node; a change of the records' layout needs a
//! new recording.

use bulkhead_abi as abi;
use bulkhead_policy::decode::{self, Record, Target};

use crate::golden::golden;

fn recorded() -> Vec<Vec<u8>> {
    let text = include_str!("recorded.hex");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.lines().map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

#[test]
fn a_recorded_breakout_reads_as_it_was_seen() {
    golden("recorded", &recorded());
}

#[test]
fn every_recorded_act_was_refused_and_names_its_actor() {
    let records = recorded();
    assert!(records.len() > 10);
    for bytes in &records {
        let Record::Act(act) = decode::decode(bytes).unwrap() else { panic!("not an act") };
        assert_eq!(act.decision.effect, abi::Effect::Denied);
        assert_ne!(act.actor.identity.container, 0);
        assert_eq!(decode::path(&act.actor.path, act.actor.path_start), b"/bin/busybox");
        if let Target::Task(target) = &act.target {
            let crossing = act.decision.relation == abi::Relation::CrossTenant;
            assert_eq!(crossing, !target.identity.is_host());
            assert_ne!(target.identity.tenant, act.actor.identity.tenant);
        }
    }
}
