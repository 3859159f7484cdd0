use super::*;
use crate::configuration;

fn policy(text: &str) -> Policy {
    configuration::read("test.yaml", text).unwrap_or_else(|refused| panic!("{refused}")).policy
}

fn tenants() -> Policy {
    policy(
        "
tenants:
  - { name: shop, level: semi-trusted, namespaces: [shop, shop-*], cgroups: [/srv/shop/*] }
  - { name: lab, level: untrusted, namespaces: [shop-lab, lab] }
  - { name: batch, level: trusted, cgroups: [/srv/shop/batch, /batch] }
",
    )
}

fn in_namespace<'a>(namespace: &'a str, cgroup_path: &'a str) -> WorkloadFacts<'a> {
    WorkloadFacts { namespace: Some(namespace), cgroup_path, ..WorkloadFacts::default() }
}

fn at(cgroup_path: &str) -> WorkloadFacts<'_> {
    WorkloadFacts { cgroup_path, ..WorkloadFacts::default() }
}

fn assigned(policy: &Policy, facts: WorkloadFacts<'_>) -> (String, String, bool) {
    let assignment = policy.assign(&facts);
    (assignment.tenant, assignment.level, assignment.named)
}

#[test]
fn without_a_file_every_container_is_watched_and_none_is_stopped() {
    let policy = configuration::defaults().unwrap().policy;
    assert!(!policy.default_level().refuses_anything());
    assert_eq!(assigned(&policy, in_namespace("a", "/x")), ("a".into(), "trusted".into(), false));
    assert_eq!(assigned(&policy, at("/x")), ("unassigned".into(), "trusted".into(), false));
    assert_eq!(policy.pending_table(), policy.default_level().table());
}

#[test]
fn a_namespace_belongs_to_the_closest_claim() {
    let policy = tenants();
    for (namespace, tenant) in
        [("shop", "shop"), ("shop-eu", "shop"), ("shop-lab", "lab"), ("lab", "lab")]
    {
        let (found, _, named) = assigned(&policy, in_namespace(namespace, "/kubepods/podx/y"));
        assert_eq!((found.as_str(), named), (tenant, true), "{namespace}");
    }
    let (found, level, named) = assigned(&policy, in_namespace("shopping", "/x"));
    assert_eq!((found.as_str(), level.as_str(), named), ("shopping", "trusted", false));
}

#[test]
fn a_cgroup_claim_counts_whole_components() {
    let policy = tenants();
    for (path, tenant) in [
        ("/batch", "batch"),
        ("/batch/deeper/still", "batch"),
        ("/srv/shop/web", "shop"),
        ("/srv/shop/web/worker", "shop"),
        // Named itself, and a child of what another claims: the closer claim.
        ("/srv/shop/batch", "batch"),
        ("/srv/shop/batch/x", "batch"),
        // Beside, above, or only alike.
        ("/batches", "unassigned"),
        ("/srv/shop", "unassigned"),
        ("/srv/shop/", "unassigned"),
        ("/srv/shopping/web", "unassigned"),
        ("/", "unassigned"),
        ("", "unassigned"),
    ] {
        assert_eq!(assigned(&policy, at(path)).0, tenant, "{path:?}");
    }
}

#[test]
fn a_claimed_cgroup_says_where_its_container_begins() {
    let policy = tenants();
    let container = |path| policy.claimed_cgroup(path).map(|(tenant, path)| (tenant.name(), path));
    assert_eq!(container("/batch/a/b"), Some(("batch", "/batch")));
    assert_eq!(container("/srv/shop/web/a"), Some(("shop", "/srv/shop/web")));
    assert_eq!(container("/srv/shop/batch/a"), Some(("batch", "/srv/shop/batch")));
    assert_eq!(container("/srv/shop"), None);
}

#[test]
fn a_cgroup_claim_goes_before_a_namespace() {
    let facts = in_namespace("lab", "/batch/x");
    assert_eq!(assigned(&tenants(), facts).0, "batch");
}

/// Else whoever may make a namespace could become the fellow of a tenant.
#[test]
fn a_namespace_called_like_a_tenant_is_not_that_tenant() {
    let policy = tenants();
    for namespace in ["batch", "unassigned", "host", "unidentified"] {
        let (tenant, level, named) = assigned(&policy, in_namespace(namespace, "/x"));
        assert_eq!(tenant, format!("namespace:{namespace}"));
        assert_eq!((level.as_str(), named), ("trusted", false));
        assert!(policy.tenant(&tenant).is_none());
    }
}

#[test]
fn an_unnamed_container_is_held_as_strictly_as_any_it_may_turn_out_to_be() {
    let strict = |text: &str| policy(text).pending_table();
    let level = |name: &str| {
        crate::level::built_in().unwrap().into_iter().find(|level| level.name() == name).unwrap()
    };
    assert_eq!(tenants().pending_table(), level("untrusted").table());
    // A path is known from the start, so a tenant claimed by path alone makes nobody wait.
    let by_path = "tenants: [{ name: a, level: untrusted, cgroups: [/a] }]";
    assert_eq!(strict(by_path), level("trusted").table());
}

#[test]
fn a_tenant_s_own_changes_go_on_top_of_its_level() {
    use bulkhead_abi::{Relation, Rule, Verdict};
    let policy = policy(
        "
levels:
  - name: quiet
    extends: strict
    rules: { BH-FILE-007: off }
  - name: strict
    extends: semi-trusted
    rules: { BH-NS-001: deny, BH-PROC-004: kill }
    capabilities: { ceiling: [CAP_CHOWN, KILL] }
tenants:
  - name: a
    level: quiet
    namespaces: [a]
    rules: { BH-NS-001: audit, BH-PROC-004: { tenant: off } }
",
    );
    let level = policy.tenant("a").unwrap().level();
    assert_eq!(level.name(), "quiet");
    assert_eq!(level.verdict(Rule::UserNamespace, Relation::None), Verdict::Audit);
    assert_eq!(level.verdict(Rule::KernelDiscovery, Relation::None), Verdict::Off);
    assert_eq!(level.verdict(Rule::Signal, Relation::Tenant), Verdict::Off);
    assert_eq!(level.verdict(Rule::Signal, Relation::Pod), Verdict::Kill);
    assert_eq!(level.verdict(Rule::Signal, Relation::Host), Verdict::Kill);
    assert_eq!(level.verdict(Rule::Signal, Relation::Own), Verdict::Off);
    assert_eq!(level.ceiling().to_string(), "CAP_CHOWN CAP_KILL");
}
