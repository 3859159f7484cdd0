use bulkhead_abi::{Effect, Relation, Rule, Rung, Verdict};

use super::{
    text::{self, Paint},
    *,
};
use crate::prove::{acts::named, engine::Sighting, outcome::Finding, promise::Promise};

fn trial(name: &str, relation: Relation, rung: Rung, outcome: Outcome) -> Trial {
    let behaviour = named(name).unwrap();
    let verdict = if relation == Relation::Own { Verdict::Off } else { Verdict::Deny };
    let told = matches!(outcome, Outcome::Blocked | Outcome::Seen);
    let sighting = Sighting {
        received: 1_250_000,
        time: 1_004_200,
        cgroup: 1,
        rule: behaviour.rule,
        relation,
        verdict,
        effect: Effect::Denied,
    };
    Trial {
        behaviour,
        relation,
        verdict,
        rung,
        promise: Promise::of(verdict, rung),
        finding: Finding {
            outcome,
            sighting: told.then_some(sighting),
            before: Some(1_000_000),
            errno: 0,
            detail: String::new(),
        },
    }
}

fn document(trials: &[Trial]) -> Document {
    Document::new("6.12".into(), vec![LevelReport::new("untrusted".into(), trials)])
}

fn kept() -> Vec<Trial> {
    vec![
        trial("mount-tmpfs", Relation::None, Rung::Lsm, Outcome::Blocked),
        trial("kill", Relation::CrossTenant, Rung::Lsm, Outcome::Blocked),
        trial("kill", Relation::Own, Rung::Lsm, Outcome::Allowed),
    ]
}

fn text_of(document: &Document) -> String {
    let mut out = Vec::new();
    text::write(&mut out, document, Paint::Plain).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_median_of_few_times_is_one_of_them() {
    let of = |times: &[u64]| Latency::of(times.iter().copied());
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[7]), Some(Latency { median_ns: 7, max_ns: 7 }));
    assert_eq!(of(&[9, 1, 5]), Some(Latency { median_ns: 5, max_ns: 9 }));
}

#[test]
fn the_status_tells_kept_wrong_and_weak_apart() {
    assert_eq!(document(&kept()).conclusion.status(), 0);
    let weak = trial("chroot", Relation::None, Rung::Fentry, Outcome::Seen);
    assert_eq!(document(&[weak]).conclusion.status(), 3);
    let missed = || trial("chroot", Relation::None, Rung::Lsm, Outcome::Missed);
    assert_eq!(document(&[missed()]).conclusion.status(), 2);
    let both = [missed(), trial("umount", Relation::None, Rung::Blind, Outcome::Missed)];
    assert_eq!(document(&both).conclusion.status(), 2, "wrong goes before weak");
}

#[test]
fn a_behaviour_counts_once_however_often_it_is_tried() {
    assert_eq!(document(&kept()).behaviours, 2);
}

#[test]
fn the_table_lines_up_and_sums_up() {
    let expected = "\
Level untrusted (times from the act, in µs)
   behaviour    row  rule         target        verdict  outcome  seen  received
   mount-tmpfs  B01  BH-MNT-001   -             deny     blocked   4.2     250.0
   kill         B55  BH-PROC-004  cross-tenant  deny     blocked   4.2     250.0
   kill         B55  BH-PROC-004  self          off      allowed     -         -
untrusted: 2 blocked, 1 allowed
act to record: median 4.2 µs, at most 4.2 µs; act to agent: median 250.0 µs, at most 250.0 µs

2 behaviours on Linux 6.12: all as the levels promise.
";
    assert_eq!(text_of(&document(&kept())), expected);
}

#[test]
fn a_broken_promise_is_marked_and_says_what_was_promised() {
    let text = text_of(&document(&[trial("chroot", Relation::None, Rung::Lsm, Outcome::Seen)]));
    let line = text.lines().find(|line| line.contains("chroot")).unwrap();
    assert!(line.starts_with('!') && line.contains("promised: blocked"), "{line}");
    assert!(text.contains("NOT as promised"), "{text}");
}

#[test]
fn the_document_names_the_deciding_rule_only_where_it_is_another() {
    let mut by_ceiling = trial("chroot", Relation::None, Rung::Lsm, Outcome::Blocked);
    if let Some(sighting) = &mut by_ceiling.finding.sighting {
        sighting.rule = Rule::CapabilityCeiling;
    }
    let json = serde_json::to_value(document(&[by_ceiling])).unwrap();
    assert_eq!(json["levels"][0]["trials"][0]["decided_by"], "BH-CAP-001");
    let json = serde_json::to_value(document(&kept())).unwrap();
    assert!(json["levels"][0]["trials"][0].get("decided_by").is_none());
    assert_eq!(json["levels"][0]["trials"][0]["seen_after_ns"], 4200);
    assert_eq!(json["levels"][0]["summary"]["outcomes"]["blocked"], 2);
}
