use super::*;

const TARGETS: [Relation; 4] =
    [Relation::Pod, Relation::Tenant, Relation::CrossTenant, Relation::Host];

fn level(name: &str) -> Level {
    built_in().unwrap().into_iter().find(|level| level.name() == name).unwrap()
}

/// Every verdict that a level gives, whatever the rule's relations are.
fn verdicts(level: &Level) -> impl Iterator<Item = (&'static RuleInfo, Relation, Verdict)> {
    catalogue::ALL.iter().flat_map(move |row| {
        let relations = row.target.relations().iter();
        relations.map(move |&relation| (row, relation, level.verdict(row.rule, relation)))
    })
}

#[test]
fn the_built_in_levels_are_well_formed_and_named_as_their_files() {
    let names: Vec<String> =
        built_in().unwrap().iter().map(|level| level.name().to_owned()).collect();
    assert_eq!(names, ["trusted", "semi-trusted", "untrusted"]);
    assert!(names.iter().all(|name| is_built_in(name)));
    assert!(!is_built_in("paranoid"));
}

#[test]
fn each_built_in_level_names_every_rule() {
    for (name, text) in BUILT_IN {
        for row in catalogue::ALL {
            assert!(text.contains(&format!("\n  {}:", row.id)), "{name} lacks {}", row.id);
        }
    }
}

#[test]
fn trusted_sees_everything_and_refuses_nothing() {
    let trusted = level("trusted");
    assert!(!trusted.refuses_anything());
    assert_eq!(trusted.ceiling(), Capabilities::ALL);
    for (row, relation, verdict) in verdicts(&trusted) {
        // What ordinary programs do all day tells nobody anything.
        let daily = matches!(row.rule, Rule::WritableCode | Rule::CapabilityRaise);
        let off = daily || relation == Relation::Pod;
        let expected = if off { Verdict::Off } else { Verdict::Audit };
        assert_eq!(verdict, expected, "{} {}", row.id, relation.as_str());
    }
}

#[test]
fn semi_trusted_refuses_the_critical_and_every_crossing() {
    let level = level("semi-trusted");
    for (row, relation, verdict) in verdicts(&level) {
        let crossing = matches!(relation, Relation::CrossTenant | Relation::Host);
        // The node's own sockets and keyrings: D-Bus, journald, pam_keyinit.
        let shared = matches!(row.rule, Rule::UnixConnect | Rule::KernelKey);
        if shared && relation == Relation::Host {
            assert_eq!(verdict, Verdict::Audit, "{}", row.id);
            continue;
        }
        let critical = row.severity == catalogue::Severity::Critical;
        if crossing || (critical && relation == Relation::None) {
            assert_eq!(verdict, Verdict::Deny, "{} {}", row.id, relation.as_str());
        }
    }
}

/// docs/benign.md shows what ordinary programs meet at `semi-trusted`, and says the same of `trusted`.
#[test]
fn trusted_is_silent_about_all_that_semi_trusted_is_silent_about() {
    let (mild, milder) = (level("semi-trusted"), level("trusted"));
    for (row, relation, verdict) in verdicts(&mild) {
        if verdict == Verdict::Off {
            assert_eq!(milder.verdict(row.rule, relation), Verdict::Off, "{}", row.id);
        }
    }
}

/// Rules that the benign programs of the breakout list trip: chromium, bubblewrap, podman, sshd,
/// haproxy, ping, perf, dmesg.
#[test]
fn semi_trusted_stops_no_ordinary_program() {
    let level = level("semi-trusted");
    for rule in [
        Rule::Mount,
        Rule::MoveMount,
        Rule::Unmount,
        Rule::PivotRoot,
        Rule::Chroot,
        Rule::UserNamespace,
        Rule::CloneNamespaces,
        Rule::PerfEvent,
        Rule::SocketRaw,
        Rule::KernelDiscovery,
    ] {
        assert_eq!(level.verdict(rule, Relation::None), Verdict::Audit, "{rule:?}");
    }
    for name in ["SETUID", "SETGID", "SYS_CHROOT", "NET_RAW", "AUDIT_WRITE", "NET_BIND_SERVICE"] {
        assert!(level.ceiling().contains(capability::number(name).unwrap()), "{name}");
    }
    assert!(!level.ceiling().contains(capability::number("MKNOD").unwrap()));
}

#[test]
fn untrusted_refuses_everything_but_among_the_containers_of_a_pod() {
    let level = level("untrusted");
    for (row, relation, verdict) in verdicts(&level) {
        let expected = match (relation, row.rule) {
            (Relation::Pod, Rule::ProcessAttach | Rule::ProcessMemory) => Verdict::Audit,
            (Relation::Pod, _) => Verdict::Off,
            // Medium, and either no hook can refuse it or ordinary programs do it all day.
            (
                _,
                Rule::WritableCode
                | Rule::LogTampering
                | Rule::ControlPlane
                | Rule::CapabilityRaise,
            ) => {
                assert!(row.severity <= catalogue::Severity::Medium, "{}", row.id);
                Verdict::Audit
            }
            _ => Verdict::Deny,
        };
        assert_eq!(verdict, expected, "{} {}", row.id, relation.as_str());
    }
    assert_eq!(
        level.ceiling().to_string(),
        "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID \
         CAP_NET_BIND_SERVICE"
    );
}

#[test]
fn a_stricter_level_is_nowhere_milder() {
    let levels = built_in().unwrap();
    for pair in levels.windows(2) {
        let (mild, strict) = (&pair[0], &pair[1]);
        for (row, relation, verdict) in verdicts(strict) {
            assert!(verdict >= mild.verdict(row.rule, relation), "{} {relation:?}", row.id);
        }
        assert_eq!(strict.ceiling().intersection(mild.ceiling()), strict.ceiling());
    }
}

#[test]
fn no_table_touches_what_a_container_does_to_its_own_processes() {
    for level in built_in().unwrap() {
        let table = level.table();
        for row in catalogue::ALL.iter().filter(|row| row.target == Target::Process) {
            let own = table.verdict(row.rule, Relation::Own);
            assert_eq!(own, Verdict::Off, "{} {}", level.name(), row.id);
        }
    }
}

#[test]
fn a_table_says_what_the_level_says_and_takes_the_unknown_for_a_stranger() {
    for level in built_in().unwrap() {
        let table = level.table();
        assert_eq!(table.ceiling, level.ceiling().bits());
        for (row, relation, verdict) in verdicts(&level) {
            assert_eq!(table.verdict(row.rule, relation), verdict);
        }
        for row in catalogue::ALL {
            match row.target {
                Target::Process => assert_eq!(
                    table.verdict(row.rule, Relation::None),
                    table.verdict(row.rule, Relation::CrossTenant)
                ),
                Target::Nothing => {
                    for relation in TARGETS {
                        assert_eq!(
                            table.verdict(row.rule, relation),
                            table.verdict(row.rule, Relation::None)
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn the_strictest_of_tables_is_at_least_as_strict_as_each() {
    let tables: Vec<LevelTable> = built_in().unwrap().iter().map(Level::table).collect();
    let strict = strictest(tables.iter().copied());
    assert_eq!(strict, level("untrusted").table());
    assert_eq!(strictest([]), LevelTable::OFF);
    for table in tables {
        for &rule in Rule::ALL {
            for &relation in Relation::ALL {
                assert!(strict.verdict(rule, relation) >= table.verdict(rule, relation));
            }
        }
        assert_eq!(strict.ceiling & table.ceiling, strict.ceiling);
    }
}

#[test]
fn the_strictest_takes_each_verdict_and_each_capability_by_itself() {
    let mut network = LevelTable::OFF;
    network.set(Rule::SocketRaw, Relation::None, Verdict::Kill);
    network.ceiling = 0b0111;
    let mut files = LevelTable::OFF;
    files.set(Rule::SocketRaw, Relation::None, Verdict::Audit);
    files.set(Rule::CorePattern, Relation::None, Verdict::Deny);
    files.ceiling = 0b1110;
    let strict = strictest([network, files]);
    assert_eq!(strict.verdict(Rule::SocketRaw, Relation::None), Verdict::Kill);
    assert_eq!(strict.verdict(Rule::CorePattern, Relation::None), Verdict::Deny);
    assert_eq!(strict.verdict(Rule::Bpf, Relation::None), Verdict::Off);
    assert_eq!(strict.ceiling, 0b0110);
}
