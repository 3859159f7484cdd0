use bulkhead_abi::{Relation, Rule, Verdict};

use crate::{Policy, Slots, WorkloadFacts, configuration};

const MONITORING: &str = "
tenants:
  - name: monitoring
    level: untrusted
    namespaces: [monitoring, metrics-*]
    exceptions:
      - name: node-exporter
        reason: reads the node's processes
        workload: { namespace: monitoring, pod: node-exporter-*, container: main }
        rules: { BH-PROC-003: [host], BH-FILE-007: all }
        until: 2027-03-31
      - name: pinned
        reason: an image of our own
        workload: { image: IMAGE }
        rules: { BH-PROC-004: all }
";

fn image() -> String {
    format!("sha256:{}", "0a".repeat(32))
}

fn policy() -> Policy {
    let text = MONITORING.replace("IMAGE", &image());
    configuration::read("test.yaml", &text).unwrap_or_else(|refused| panic!("{refused}")).policy
}

fn faults(exception: &str) -> String {
    let text = format!(
        "tenants:\n- name: a\n  level: untrusted\n  namespaces: [a]\n  exceptions:\n  - {exception}\n"
    );
    configuration::read("c", &text).expect_err("it must be refused").to_string()
}

fn facts<'a>(namespace: &'a str, pod: &'a str, container: &'a str) -> WorkloadFacts<'a> {
    WorkloadFacts {
        namespace: Some(namespace),
        pod: Some(pod),
        container: Some(container),
        ..WorkloadFacts::default()
    }
}

fn exception_of(policy: &Policy, facts: &WorkloadFacts<'_>) -> Option<String> {
    policy.assign(facts).exception
}

#[test]
fn only_the_named_workload_of_the_tenant_is_excepted() {
    let policy = policy();
    let named = |namespace, pod, container| {
        exception_of(&policy, &facts(namespace, pod, container)).as_deref() == Some("node-exporter")
    };
    assert!(named("monitoring", "node-exporter-x7", "main"));
    assert!(!named("monitoring", "node-exporter-x7", "sidecar"));
    assert!(!named("monitoring", "grafana-1", "main"));
    assert!(!named("metrics-eu", "node-exporter-x7", "main"), "the tenant's, another namespace");
    assert!(!named("shop", "node-exporter-x7", "main"), "another tenant may choose any name");
}

#[test]
fn an_image_is_known_by_its_digest_and_not_by_its_name() {
    let policy = policy();
    let pinned = |image: &str| {
        let facts = WorkloadFacts { image: Some(image), ..facts("monitoring", "any", "main") };
        exception_of(&policy, &facts).as_deref() == Some("pinned")
    };
    assert!(pinned(&format!("registry.test/tool@{}", image())));
    assert!(pinned(&image()));
    assert!(!pinned("registry.test/tool:1"));
    assert!(!pinned(&format!("registry.test/{}:1", image())));
    assert!(!pinned(&format!("registry.test/tool@sha256:{}", "0b".repeat(32))));
}

#[test]
fn an_exception_loosens_what_it_names_and_nothing_else_and_never_into_silence() {
    let policy = policy();
    let tenant = policy.tenant("monitoring").unwrap();
    let plain = tenant.level().table();
    let loosened = tenant.exceptions()[0].loosen(plain);
    let mut changed = Vec::new();
    for &rule in Rule::ALL {
        for &relation in Relation::ALL {
            let verdict = loosened.verdict(rule, relation);
            if verdict != plain.verdict(rule, relation) {
                assert_eq!(verdict, Verdict::Except);
                changed.push((rule, relation));
            }
        }
    }
    let whole = Relation::ALL.iter().map(|relation| (Rule::KernelDiscovery, *relation));
    let mut expected: Vec<_> = whole.chain([(Rule::ProcessRead, Relation::Host)]).collect();
    expected.sort();
    changed.sort();
    assert_eq!(changed, expected);
    assert_eq!(loosened.ceiling, plain.ceiling);
}

#[test]
fn what_a_level_only_reports_is_declared_too_and_what_it_is_silent_about_stays_so() {
    let policy = policy();
    let trusted = policy.levels().iter().find(|level| level.name() == "trusted").unwrap().table();
    let exception = &policy.tenant("monitoring").unwrap().exceptions()[0];
    let loosened = exception.loosen(trusted);
    assert_eq!(loosened.verdict(Rule::ProcessRead, Relation::Host), Verdict::Except);
    let silent = trusted.verdict(Rule::ProcessRead, Relation::Own);
    assert_eq!(silent, Verdict::Off);
    let mut table = trusted;
    table.set(Rule::ProcessRead, Relation::Host, Verdict::Off);
    assert_eq!(exception.loosen(table).verdict(Rule::ProcessRead, Relation::Host), Verdict::Off);
}

#[test]
fn an_exception_ends_with_its_last_day() {
    let policy = policy();
    let assignment = policy.assign(&facts("monitoring", "node-exporter-1", "main"));
    let plain = policy.tenant("monitoring").unwrap().level().table();
    let mut slots = Slots::new();
    let last = "2027-03-31".parse().unwrap();
    let tables = slots.update(&policy, last);
    let slot = slots.slot(&assignment);
    let of = |tables: &[(u16, bulkhead_abi::LevelTable)]| {
        tables.iter().find(|(at, _)| *at == slot).map(|(_, table)| *table).unwrap()
    };
    assert_ne!(of(&tables), plain);
    // The container keeps its slot; what stands in it is the tenant's own table.
    assert_eq!(of(&slots.of_exceptions(&policy, last.tomorrow().unwrap())), plain);
    assert_eq!(of(&Slots::new().update(&policy, last.tomorrow().unwrap())), plain);
}

#[test]
fn an_exception_has_a_slot_of_its_own() {
    let policy = policy();
    let mut slots = Slots::new();
    slots.update(&policy, "2027-01-01".parse().unwrap());
    let slot = |pod| slots.slot(&policy.assign(&facts("monitoring", pod, "main")));
    assert_ne!(slot("node-exporter-1"), slot("grafana-1"));
    assert_eq!(slot("node-exporter-1"), slot("node-exporter-2"));
}

#[test]
fn what_is_wrong_with_an_exception_is_told_with_what_to_write() {
    let rest = "workload: { pod: p }, rules: { BH-PROC-003: all }";
    for (exception, told) in [
        (format!("{{ name: x, {rest} }}"), "\"reason\" is missing"),
        (format!("{{ name: x, reason: ' ', {rest} }}"), "an exception needs a reason"),
        (format!("{{ name: X, reason: r, {rest} }}"), "cannot be a name"),
        (format!("{{ name: x, reason: r, until: 31.3.2027, {rest} }}"), "is no day"),
        (
            "{ name: x, reason: r, workload: { namespace: a }, rules: { BH-PROC-003: all } }"
                .into(),
            "an exception is for one workload",
        ),
        (
            "{ name: x, reason: r, workload: { pod: p }, rules: {} }".into(),
            "names the rules that it loosens",
        ),
        (
            "{ name: x, reason: r, workload: { pod: '*' }, rules: { BH-PROC-003: all } }".into(),
            "is no pod's name",
        ),
        (
            "{ name: x, reason: r, workload: { image: 'tool:1' }, rules: { BH-PROC-003: all } }"
                .into(),
            "a tag can be moved",
        ),
        (
            "{ name: x, reason: r, workload: { pod: p }, rules: { BH-MNT-001: [host] } }".into(),
            "write `BH-MNT-001: all`",
        ),
        (
            "{ name: x, reason: r, workload: { pod: p }, rules: { BH-PROC-03: all } }".into(),
            "did you mean \"BH-PROC-003\"?",
        ),
        (
            "{ name: x, reason: r, workload: { pod: p }, rules: { BH-PROC-003: [self] } }".into(),
            "self",
        ),
    ] {
        let faults = faults(&exception);
        assert!(faults.contains(told), "{exception}: {faults}");
        assert_eq!(faults.lines().count(), 1, "{exception}: {faults}");
    }
}
