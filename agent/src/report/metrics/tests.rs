//! What a scrape shows.

use bulkhead_abi::{Effect, Fate, Relation, Verdict};

use super::{super::evidence::Flush, tenants::MAX_TENANTS, *};
use crate::kernel::NO_CONTAINER;

fn metrics() -> Metrics {
    Metrics::new("0.1.0", "abc").unwrap()
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.text().unwrap()).unwrap()
}

/// The value of the series that is written so.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = text(metrics);
    let line = text
        .lines()
        .find(|line| line.strip_prefix(series).is_some_and(|it| it.starts_with(' ')))?;
    line.rsplit(' ').next().unwrap().parse().ok()
}

fn key(container: u64, tenant: u32, rule: Rule, fate: Fate) -> CountKey {
    CountKey {
        container,
        tenant,
        rule: rule as u16,
        relation: Relation::CrossTenant as u8,
        verdict: Verdict::Deny as u8,
        effect: Effect::Denied as u8,
        fate: fate as u8,
        padding: [0; 6],
    }
}

fn tenant(number: u32) -> Option<&'static str> {
    [None, Some("acme"), Some("globex")].get(number as usize).copied().flatten()
}

const SIGNALS: &str = "bulkhead_verdicts_total{effect=\"denied\",relation=\"cross-tenant\",\
                       rule=\"BH-PROC-004\",tenant=\"acme\",verdict=\"deny\"}";

#[test]
fn totals_add_up_containers_and_never_shrink() {
    let metrics = metrics();
    let signal = |container| key(container, 1, Rule::Signal, Fate::Delivered);
    metrics.fold_counts(&[(signal(1), 3), (signal(2), 4)], tenant);
    assert_eq!(value(&metrics, SIGNALS), Some(7.0));
    metrics.fold_counts(&[(signal(1), 3), (signal(2), 6)], tenant);
    assert_eq!(value(&metrics, SIGNALS), Some(9.0));
    // Container 2 is gone.
    metrics.fold_counts(&[(signal(1), 4)], tenant);
    assert_eq!(value(&metrics, SIGNALS), Some(10.0));
    // The number came back, and its count began anew, higher or lower than it was.
    metrics.fold_counts(&[(signal(1), 2), (signal(2), 1)], tenant);
    assert_eq!(value(&metrics, SIGNALS), Some(13.0));
    metrics.fold_counts(&[], tenant);
    assert_eq!(value(&metrics, SIGNALS), Some(13.0));
}

#[test]
fn what_moves_to_the_total_of_the_gone_is_counted_once() {
    let metrics = metrics();
    let signal = |container| key(container, 1, Rule::Signal, Fate::Delivered);
    metrics.fold_counts(&[(signal(1), 3), (signal(2), 4)], tenant);
    metrics.fold_counts(&[(signal(1), 5), (signal(NO_CONTAINER), 4)], tenant);
    assert_eq!(value(&metrics, SIGNALS), Some(9.0));
    metrics.fold_counts(&[(signal(NO_CONTAINER), 9)], tenant);
    assert_eq!(value(&metrics, SIGNALS), Some(9.0));
    // The next agent begins with what is there.
    let next = self::metrics();
    next.fold_counts(&[(signal(NO_CONTAINER), 9)], tenant);
    assert_eq!(value(&next, SIGNALS), Some(9.0));
}

#[test]
fn a_lost_record_is_a_counted_verdict_and_a_loss() {
    let metrics = metrics();
    metrics.fold_counts(
        &[
            (key(1, 1, Rule::Signal, Fate::Delivered), 2),
            (key(1, 1, Rule::Signal, Fate::NoRoom), 5),
            (key(1, 1, Rule::Signal, Fate::OverBudget), 6),
            (key(1, 1, Rule::Signal, Fate::Repeated), 7),
        ],
        tenant,
    );
    assert_eq!(value(&metrics, SIGNALS), Some(20.0));
    let labels = "rule=\"BH-PROC-004\",tenant=\"acme\"}";
    let lost = |reason| format!("bulkhead_events_lost_total{{reason=\"{reason}\",{labels}");
    assert_eq!(value(&metrics, &lost("no_room")), Some(5.0));
    assert_eq!(value(&metrics, &lost("over_budget")), Some(6.0));
    assert_eq!(value(&metrics, &format!("bulkhead_events_repeated_total{{{labels}")), Some(7.0));
    metrics.fold_uncounted(&[(Rule::Bpf, 3)]);
    metrics.fold_uncounted(&[(Rule::Bpf, 4)]);
    let uncounted = "bulkhead_verdicts_uncounted_total{rule=\"BH-BPF-001\"}";
    assert_eq!(value(&metrics, uncounted), Some(4.0));
}

#[test]
fn a_count_that_cannot_be_read_is_told_once() {
    let metrics = metrics();
    let odd = CountKey { effect: 77, ..key(1, 1, Rule::Signal, Fate::Delivered) };
    for count in 1..4 {
        metrics.fold_counts(&[(odd, count)], tenant);
    }
    let malformed = "bulkhead_records_malformed_total{reason=\"count_key\"}";
    assert_eq!(value(&metrics, malformed), Some(1.0));
}

#[test]
fn more_tenants_than_a_scrape_carries_share_one_label_and_it_says_so() {
    let metrics = metrics();
    let names: Vec<String> = (0..MAX_TENANTS + 50).map(|it| format!("tenant-{it}")).collect();
    metrics.set_containers(names.iter().map(|name| (name.as_str(), "untrusted", 1)));
    let label =
        |name: &str| format!("bulkhead_containers{{level=\"untrusted\",tenant=\"{name}\"}}");
    assert_eq!(value(&metrics, &label("_other")), Some(50.0));
    assert_eq!(value(&metrics, &label("tenant-0")), Some(1.0));
    assert_eq!(value(&metrics, "bulkhead_metrics_tenants_folded"), Some(50.0));
    assert_eq!(text(&metrics).matches("bulkhead_containers{").count(), MAX_TENANTS + 1);
}

#[test]
fn a_workload_without_a_known_tenant_is_no_tenant() {
    let metrics = metrics();
    metrics.fold_counts(&[(key(9, 0, Rule::Signal, Fate::Delivered), 1)], tenant);
    let series = SIGNALS.replace("acme", "_unidentified");
    assert_eq!(value(&metrics, &series), Some(1.0));
}

#[test]
fn a_hostile_name_stays_inside_its_label() {
    let metrics = metrics();
    let name = "a\"} 1\nbulkhead_build_info{version=\"\\";
    metrics.set_containers([(name, "untrusted", 1)]);
    let text = text(&metrics);
    let lines: Vec<_> =
        text.lines().filter(|line| line.starts_with("bulkhead_containers")).collect();
    assert_eq!(
        lines,
        ["bulkhead_containers{level=\"untrusted\",tenant=\"a\\\"} 1\\nbulkhead_build_info\
          {version=\\\"\\\\\"} 1"]
    );
    assert_eq!(text.lines().filter(|line| line.starts_with("bulkhead_build_info")).count(), 1);
}

#[test]
fn a_gone_container_is_gone_from_the_gauge() {
    let metrics = metrics();
    metrics.set_containers([("acme", "trusted", 2), ("globex", "untrusted", 1)]);
    metrics.set_containers([("acme", "trusted", 1)]);
    let text = text(&metrics);
    assert!(!text.contains("tenant=\"globex\""));
    assert!(text.contains("bulkhead_containers{level=\"trusted\",tenant=\"acme\"} 1"));
}

#[test]
fn exactly_one_rung_of_a_control_is_set() {
    let metrics = metrics();
    metrics.set_control_rung("BH-BPF-001", Rung::Lsm);
    metrics.set_control_rung("BH-BPF-001", Rung::Blind);
    for rung in Rung::ALL {
        let series =
            format!("bulkhead_control_rung{{control=\"BH-BPF-001\",rung=\"{}\"}}", rung.as_str());
        assert_eq!(value(&metrics, &series), Some(f64::from(u8::from(*rung == Rung::Blind))));
    }
}

#[test]
fn every_metric_of_the_documentation_is_there_and_no_other() {
    let metrics = metrics();
    let signal = |fate| (key(1, 1, Rule::Signal, fate), 1);
    metrics.fold_counts(&[signal(Fate::NoRoom), signal(Fate::Repeated)], tenant);
    metrics.fold_uncounted(&[(Rule::Bpf, 1)]);
    metrics.delivered(2);
    metrics.malformed("too_short");
    metrics.canary("core-pattern", "seen");
    metrics.set_containers([("acme", "trusted", 1)]);
    metrics.set_control_rung("BH-BPF-001", Rung::Lsm);
    metrics.set_rules("enforcing", 33);
    metrics.reloaded(1.5e9);
    metrics.reload_failed();
    metrics.flushed(&Flush { written: 3, lost: 1, errors: 1, ..Flush::default() });
    metrics.set_unattributed(1);
    metrics.set_drift([("acme", "seccomp", 1)]);
    metrics.set_exceptions(&[ExceptionSeries {
        tenant: "acme",
        exception: "debugger",
        rule: "BH-PROC-001",
        state: "in-force",
        containers: 1,
    }]);
    metrics.responded("freeze", Some("acme"));
    metrics.set_frozen(&[("acme", 1)].into());
    metrics.drifted("acme", "pids.max");
    metrics.enforcement.set_profiles([("bulkhead-untrusted", true)].into_iter());
    metrics.stalled(&Stall {
        resource: bulkhead_policy::pressure::Resource::Cpu,
        tenant: "acme".into(),
        container: "web".into(),
        stalled: 1,
        suspect: "globex".into(),
        suspect_container: "hog".into(),
        percent: 90,
    });
    let text = text(&metrics);
    let mut exported: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    exported.sort_unstable();
    let documentation = include_str!("../../../../docs/metrics.md");
    let mut documented: Vec<&str> = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    documented.sort_unstable();
    assert_eq!(exported, documented);
}
