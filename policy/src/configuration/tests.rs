use std::path::Path;

use bulkhead_abi::{Relation, Rule, Verdict};

use super::*;

fn refusal(text: &str) -> String {
    match read("c.yaml", text) {
        Ok(_) => panic!("taken:\n{text}"),
        Err(refused) => refused.to_string(),
    }
}

/// The one fault of `text`.
fn fault(text: &str) -> (String, Fault) {
    let refused = read("c.yaml", text).unwrap_err();
    assert_eq!(refused.problems().len(), 1, "{refused}");
    let (place, problem) = refused.problems()[0].clone();
    (format!("{}:{} {}", place.line, place.column, problem.path), problem.fault)
}

#[test]
fn nothing_written_means_the_defaults() {
    for text in ["", "\n", "# only a comment\n", "---\n", "{}", "tenants:\nlevels:\nmetrics:\n"] {
        let settings = read("c.yaml", text).unwrap_or_else(|refused| panic!("{text:?}: {refused}"));
        assert_eq!(settings.configuration, Configuration::default(), "{text:?}");
    }
    let defaults = Configuration::default();
    assert_eq!(defaults.metrics.address.to_string(), "127.0.0.1:9631");
    assert_eq!(defaults.evidence_directory(), Path::new("/var/lib/bulkhead/evidence"));
    assert_eq!(defaults.default_level, "trusted");
}

#[test]
fn every_key_is_read() {
    let text = "
metrics: { address: '[::]:9000' }
evidence: { directory: /log, maxFileMiB: 3, keepFiles: 2, stdout: true }
stateDirectory: /state
response: { neverFreeze: [kube-system, calico-*], keepCaptures: 3 }
canary: { everyMinutes: 5 }
runtimeDirectory: /rt
defaultLevel: own
levels:
  - name: own
    extends: untrusted
    rules: { BH-MNT-001: kill, BH-PROC-001: { cross-tenant: freeze, pod: off } }
    capabilities: { ceiling: all }
tenants:
  - name: a
    level: own
    namespaces: [a, b-*]
    cgroups: [/a, /b/*]
    rules: { BH-NET-001: audit }
    capabilities: { ceiling: [CAP_CHOWN] }
";
    let settings = read("c.yaml", text).unwrap();
    let configuration = &settings.configuration;
    assert_eq!(configuration.metrics.address.port(), 9000);
    assert_eq!(configuration.evidence_directory(), Path::new("/log"));
    assert_eq!((configuration.evidence.max_file_mib, configuration.evidence.keep_files), (3, 2));
    assert!(configuration.evidence.stdout);
    assert_eq!(configuration.state_directory, Path::new("/state"));
    assert_eq!(configuration.runtime_directory, Path::new("/rt"));
    assert_eq!(configuration.response.keep_captures, 3);
    assert_eq!(configuration.canary.every_minutes, 5);
    let own = settings.policy.default_level();
    assert_eq!(own.verdict(Rule::ProcessAttach, Relation::CrossTenant), Verdict::Freeze);
    for (namespace, may) in [("kube-system", false), ("calico-apiserver", false), ("shop", true)] {
        assert_eq!(settings.policy.may_freeze(Some(namespace)), may, "{namespace}");
    }
    assert!(settings.policy.may_freeze(None));
    assert_eq!(settings.policy.default_level().name(), "own");
    assert_eq!(settings.policy.tenants().len(), 1);
    assert_eq!(settings.policy.levels().len(), 4);
}

#[test]
fn every_fault_of_a_file_is_reported_at_its_place() {
    let text = "
metrics:
  adress: 1.2.3.4:5
evidence:
  stdout: yes
tenants:
  - name: shop
    level: semitrusted
    namespaces: [shop]
    rules:
      BH-MNT-01: deny
      BH-NS-001: of
  - name: lab
    level: untrusted
    capabilities: { ceiling: [NET_RAWW] }
";
    assert_eq!(
        refusal(text),
        "\
c.yaml:3:3: metrics.adress: unknown key \"adress\"; did you mean \"address\"?
c.yaml:5:3: evidence.stdout: the text \"yes\" given; write true or false
c.yaml:8:5: tenants[0].level: unknown level \"semitrusted\"; did you mean \"semi-trusted\"?
c.yaml:11:7: tenants[0].rules.BH-MNT-01: unknown rule \"BH-MNT-01\"; did you mean \"BH-MNT-001\"?
c.yaml:12:7: tenants[0].rules.BH-NS-001: \"of\" is not known here; did you mean \"off\"?
c.yaml:13:5: tenants[1]: tenant \"lab\" names neither namespaces nor cgroups; add `namespaces` or `cgroups`
c.yaml:15:31: tenants[1].capabilities.ceiling[0]: unknown capability \"NET_RAWW\"; did you mean \"NET_RAW\"?"
    );
}

#[test]
fn a_wrong_element_does_not_move_the_place_of_those_after_it() {
    let text = "tenants:\n- 7\n- name: a\n  level: nowhere\n  namespaces: [a]\n";
    assert_eq!(
        refusal(text),
        "c.yaml:2:3: tenants[0]: the number 7 given; write a mapping\n\
         c.yaml:4:3: tenants[1].level: unknown level \"nowhere\"; write one of semi-trusted, \
         trusted, untrusted"
    );
}

#[test]
fn off_is_a_verdict_and_not_a_boolean() {
    let text = "levels: [{ name: a, rules: { BH-MNT-001: off, BH-NS-001: Off } }]";
    let (at, fault) = fault(text);
    assert_eq!(at, "1:47 levels[0].rules.BH-NS-001");
    assert!(matches!(fault, Fault::UnknownWord { instead: Some(word), .. } if word == "off"));
}

#[test]
fn names_must_do_as_labels() {
    for name in ["Shop", "-a", "a-", "a_b", "a.b", "''", "ä", "'a b'", &"a".repeat(64)] {
        let text = format!("tenants: [{{ name: {name}, level: trusted, namespaces: [a] }}]");
        assert!(matches!(fault(&text).1, Fault::BadName(_)), "{name}");
        let text = format!("levels: [{{ name: {name} }}]");
        assert!(matches!(fault(&text).1, Fault::BadName(_)), "{name}");
    }
    for name in ["host", "unassigned", "unidentified", "none"] {
        let text = format!("tenants: [{{ name: {name}, level: trusted, namespaces: [a] }}]");
        assert!(matches!(fault(&text).1, Fault::ReservedName(_)), "{name}");
    }
}

#[test]
fn names_and_claims_belong_to_one_alone() {
    let two = |second: &str| {
        format!(
            "tenants:\n- {{ name: a, level: trusted, namespaces: [x, y-*], cgroups: [/c] }}\n- {second}"
        )
    };
    let same_name = two("{ name: a, level: trusted, namespaces: [z] }");
    assert!(matches!(fault(&same_name).1, Fault::DuplicateName { .. }));
    let same_namespace = two("{ name: b, level: trusted, namespaces: [y-*] }");
    assert!(matches!(fault(&same_namespace).1, Fault::ClaimedTwice { what: "namespace", .. }));
    let same_cgroup = two("{ name: b, level: trusted, cgroups: [/c] }");
    assert!(matches!(fault(&same_cgroup).1, Fault::ClaimedTwice { what: "cgroup", .. }));
    // Closer and wider claims live together.
    assert!(
        read("c.yaml", &two("{ name: b, level: trusted, namespaces: [y-1], cgroups: [/c/*] }"))
            .is_ok()
    );
}

#[test]
fn built_in_levels_cannot_be_redefined_nor_levels_defined_twice() {
    assert!(matches!(fault("levels: [{ name: untrusted }]").1, Fault::BuiltInLevel(_)));
    let twice = "levels: [{ name: a }, { name: a }]";
    assert!(matches!(fault(twice).1, Fault::DuplicateName { what: "level", .. }));
}

#[test]
fn levels_may_extend_each_other_in_any_order_but_not_in_a_ring() {
    let chain = "levels: [{ name: a, extends: b }, { name: b, extends: c }, { name: c }]";
    assert!(read("c.yaml", chain).is_ok());
    let ring =
        "levels: [{ name: a, extends: b }, { name: b, extends: a }, { name: c, extends: a }]";
    assert!(matches!(fault(ring).1, Fault::LevelCycle(way) if way == "a -> b -> a"));
    let itself = "levels: [{ name: a, extends: a }]";
    assert!(matches!(fault(itself).1, Fault::LevelCycle(way) if way == "a -> a"));
    let nowhere = "levels: [{ name: a, extends: nowhere }, { name: b, extends: a }]";
    assert_eq!(fault(nowhere).0, "1:21 levels[0].extends");
}

#[test]
fn cgroup_paths_must_name_something_below_the_root() {
    for path in
        ["rel", "''", "/", "'/*'", "/a/../b", "/a//b", "/a/", "/a/*/b", "/a/./b", "\"/a\\t\""]
    {
        let text = format!("tenants: [{{ name: a, level: trusted, cgroups: [{path}] }}]");
        let (at, fault) = fault(&text);
        assert!(matches!(fault, Fault::BadCgroup { .. }), "{path}: {fault}");
        assert!(at.ends_with("tenants[0].cgroups[0]"), "{at}");
    }
}

#[test]
fn namespaces_must_be_ones_that_kubernetes_accepts() {
    for namespace in ["A", "a.b", "'a*b'", "'*a'", "a-", "''", "'-*'", &"a".repeat(64)] {
        let text = format!("tenants: [{{ name: a, level: trusted, namespaces: [{namespace}] }}]");
        assert!(matches!(fault(&text).1, Fault::BadNamespace(_)), "{namespace}");
    }
    assert!(read("c.yaml", "tenants: [{ name: a, level: trusted, namespaces: ['*'] }]").is_ok());
}

#[test]
fn verdicts_are_given_where_they_mean_something() {
    let rules = |rules: &str| format!("levels: [{{ name: a, rules: {{ {rules} }} }}]");
    let no_target = rules("BH-MNT-001: { host: deny }");
    assert!(matches!(fault(&no_target).1, Fault::NoRelations("BH-MNT-001")));
    let own = rules("BH-PROC-001: { self: deny }");
    assert!(matches!(fault(&own).1, Fault::SelfRelation));
    let unknown = rules("BH-PROC-001: { neighbour: deny }");
    assert!(matches!(fault(&unknown).1, Fault::UnknownKey { .. }));
    for wrong in ["BH-MNT-001: 3", "BH-MNT-001: [deny]", "BH-MNT-001: ", "BH-MNT-001: true"] {
        assert!(matches!(fault(&rules(wrong)).1, Fault::WrongType { .. }), "{wrong}");
    }
}

#[test]
fn more_tenants_than_a_node_can_tell_apart_are_refused() {
    let most = crate::slots::MAX_TENANTS;
    let tenants = |count: usize| {
        (0..count).fold("tenants:\n".to_owned(), |text, n| {
            text + &format!("- {{ name: t{n}, level: trusted, namespaces: [n{n}] }}\n")
        })
    };
    assert!(read("c.yaml", &tenants(most)).is_ok());
    let (at, fault) = fault(&tenants(most + 1));
    assert_eq!(at, "1:1 tenants");
    assert_eq!(fault, Fault::TooManyTenants { found: most + 1, most });
}

#[test]
fn what_is_missing_is_named_once() {
    let (at, missing) = fault("tenants: [{ name: a, namespaces: [a] }]");
    assert_eq!((at.as_str(), missing), ("1:11 tenants[0]", Fault::MissingKey("level".to_owned())));
    // There, but unreadable: that is what is said, not that it is missing.
    let (at, wrong) = fault("tenants: [{ name: a, level: 3, namespaces: [a] }]");
    assert_eq!(at, "1:22 tenants[0].level");
    assert!(matches!(wrong, Fault::WrongType { .. }));
}

#[test]
fn a_file_that_is_no_yaml_says_where() {
    for (text, message) in [
        ("tenants: [\n", "1:10: the file: not valid YAML: unclosed bracket '['"),
        ("a: \"b", "1:4: the file: not valid YAML: unclosed quote"),
        ("a: *b", "1:4: the file: not valid YAML: reference to unknown value"),
        ("a: &a [*a]", "1:8: the file: not valid YAML: Recursive reference not allowed here"),
        (
            "--- {}\n--- {}\n",
            "2:5: the file: not valid YAML: only single YAML document expected but multiple found",
        ),
        ("\u{0}", "1:1: the file: not valid YAML: unexpected character: `\\u{0}'"),
    ] {
        assert_eq!(refusal(text), format!("c.yaml:{message}"), "{text:?}");
    }
    assert_eq!(refusal("- x"), "c.yaml:1:1: the file: a list given; write a mapping");
}

#[test]
fn a_bomb_is_refused_and_does_not_go_off() {
    let deep = "[".repeat(100_000);
    assert!(read("c.yaml", &deep).is_err());
    let deep = "a: ".repeat(50_000);
    assert!(read("c.yaml", &deep).is_err());
    let mut laughs = "a0: &a0 [x]\n".to_owned();
    for n in 1..40 {
        laughs += &format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1);
    }
    assert!(read("c.yaml", &laughs).is_err());
}

#[test]
fn a_hopeless_file_is_not_reported_without_end() {
    let text: String = (0..5000).map(|n| format!("key{n}: x\n")).collect();
    let refused = refusal(&text);
    assert_eq!(refused.lines().count(), 101);
    let last = "c.yaml: the file: more than 100 faults";
    assert!(refused.lines().last().unwrap().starts_with(last), "{refused}");
}

#[test]
fn a_message_stays_on_its_line_whatever_the_file_holds() {
    let text =
        "\"a\\nb\\e[2J\": 1\ntenants: [{ name: \"x\\ny\", level: \"\\e]\", namespaces: [a] }]";
    for line in refusal(text).lines() {
        assert!(line.starts_with("c.yaml:"), "{line:?}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

/// A file below the repository's root.
fn in_repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_configuration_that_deploy_installs_is_taken() {
    let text = in_repository("deploy/config.yaml");
    let settings = read("deploy/config.yaml", &text).unwrap_or_else(|refused| panic!("{refused}"));
    assert!(!settings.policy.default_level().refuses_anything());
}

/// Each `yaml` block of the page is taken, or is refused in the words of the `text` block that
/// follows it.
#[test]
fn the_page_about_the_configuration_is_true() {
    let page = in_repository("docs/configuration.md");
    let blocks: Vec<(&str, &str)> =
        page.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect();
    let mut refused = 0;
    for (at, (kind, text)) in blocks.iter().enumerate().filter(|(_, (kind, _))| *kind == "yaml") {
        match (read("config.yaml", text), blocks.get(at + 1)) {
            (Err(found), Some(("text", told))) => {
                assert_eq!(found.to_string(), told.trim_end());
                refused += 1;
            }
            (Err(found), _) => panic!("{kind} block {at}:\n{found}"),
            (Ok(_), Some(("text", told))) => panic!("taken, but the page says:\n{told}"),
            (Ok(_), _) => {}
        }
    }
    assert!(refused > 0 && blocks.len() > refused * 2);
    for row in crate::catalogue::ALL {
        let start =
            format!("| `{}` | {} | {} | {} |", row.id, row.title, row.severity, row.technique);
        assert!(page.contains(&start), "not on the page: {start}");
    }
    assert!(page.contains(&format!("{} tenants", crate::slots::MAX_TENANTS)));
}
