//! What `check` finds, a profile for each kind of finding.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use bulkhead_seccomp::{
    Simulation,
    check::{self, Finding, Severity},
    levels, parse,
};

fn findings(text: &str) -> Vec<Finding> {
    check::check(&parse(text.as_bytes()).unwrap(), None).unwrap()
}

/// Where the finding of a kind is, and how bad it is.
fn found(text: &str, id: &str) -> Option<(String, Severity)> {
    let finding = findings(text).into_iter().find(|finding| finding.id == id)?;
    Some((finding.field, finding.severity))
}

fn rules(rules: &str) -> String {
    format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{rules}]}}"#)
}

const READ: &str = r#"{"names":["read"],"action":"SCMP_ACT_ALLOW"}"#;

fn at(field: &str, severity: Severity) -> Option<(String, Severity)> {
    Some((field.to_owned(), severity))
}

#[test]
fn a_misspelt_call_is_found_and_the_right_name_said() {
    let text = rules(&format!(r#"{READ},{{"names":["opennat"],"action":"SCMP_ACT_ALLOW"}}"#));
    assert_eq!(found(&text, "unknown-name"), at("syscalls[1]", Severity::Warning));
    assert!(findings(&text).iter().any(|finding| finding.message.contains("`openat`")));
    assert_eq!(found(&rules(READ), "unknown-name"), None);
}

#[test]
fn a_call_newer_than_libseccomp_is_told_not_dropped() {
    let text = rules(r#"{"names":["listxattrat"],"action":"SCMP_ACT_ALLOW"}"#);
    assert_eq!(found(&text, "newer-than-libseccomp"), at("syscalls[0]", Severity::Note));
}

#[test]
fn a_misspelt_field_is_found() {
    let text = rules(r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","arg":[]}"#);
    assert_eq!(found(&text, "unknown-field"), at("syscalls[0].arg", Severity::Warning));
}

#[test]
fn a_rule_that_another_swallows_is_found() {
    let refuse = r#"{"names":["ptrace"],"action":"SCMP_ACT_ERRNO","errnoRet":38,
        "args":[{"index":0,"value":16,"op":"SCMP_CMP_EQ"}]}"#;
    let allow = r#"{"names":["ptrace"],"action":"SCMP_ACT_ALLOW"}"#;
    let text = rules(&format!("{refuse},{allow}"));
    assert_eq!(found(&text, "no-effect"), at("syscalls[0]", Severity::Warning));
    assert_eq!(found(&rules(refuse), "no-effect"), None);
}

#[test]
fn a_default_that_allows_is_an_error() {
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#;
    assert_eq!(found(text, "default-allow"), at("defaultAction", Severity::Error));
    assert_eq!(found(&rules(READ), "default-allow"), None);
}

#[test]
fn the_error_that_nri_drops_is_found() {
    let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38}"#;
    assert_eq!(found(text, "errno-dropped-by-nri"), at("defaultErrnoRet", Severity::Warning));
    let same = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1}"#;
    assert_eq!(found(same, "errno-dropped-by-nri"), None);
}

#[test]
fn a_condition_of_moby_that_kubernetes_does_not_read_is_an_error() {
    let text = rules(
        r#"{"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}}"#,
    );
    assert_eq!(found(&text, "moby-form"), at("syscalls[0]", Severity::Error));
    assert_eq!(found(&text, "dangerous"), at(".", Severity::Warning));
}

#[test]
fn a_value_that_an_upper_bit_lets_through_is_an_error() {
    let unequal = r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":0,"value":38,"op":"SCMP_CMP_NE"}]}"#;
    assert_eq!(found(&rules(unequal), "upper-bits"), at(".", Severity::Error));
    let equal = r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}"#;
    assert_eq!(found(&rules(equal), "upper-bits"), None);
}

#[test]
fn conditions_that_the_runtimes_take_for_or_are_found() {
    let text = rules(
        r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[
        {"index":0,"value":38,"op":"SCMP_CMP_NE"},{"index":0,"value":40,"op":"SCMP_CMP_NE"}]}"#,
    );
    assert_eq!(found(&text, "or-conditions"), at("syscalls[0]", Severity::Warning));
    // Each lets the other's value through.
    assert!(findings(&text).iter().any(|finding| finding.message.contains("AF_ALG")));
}

#[test]
fn families_hidden_behind_socketcall_are_found() {
    let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
        "syscalls":[{"names":["socketcall"],"action":"SCMP_ACT_ALLOW"}]}"#;
    assert_eq!(found(text, "socketcall"), at(".", Severity::Warning));
}

#[test]
fn asking_nobody_is_an_error() {
    let text = rules(r#"{"names":["keyctl"],"action":"SCMP_ACT_NOTIFY"}"#);
    assert_eq!(found(&text, "no-listener"), at("listenerPath", Severity::Error));
}

#[test]
fn a_profile_that_goes_beyond_its_level_is_told_call_by_call() {
    let text = rules(&format!(r#"{READ},{{"names":["ptrace","bpf"],"action":"SCMP_ACT_ALLOW"}}"#));
    let beyond = |level: &str| -> Vec<_> {
        let simulation = Simulation::of(&levels::profile(level).unwrap().unwrap()).unwrap();
        let parsed = parse(text.as_bytes()).unwrap();
        let found = check::check(&parsed, Some((level, &simulation))).unwrap();
        let beyond = found.into_iter().filter(|finding| finding.id == "beyond-level");
        beyond.map(|finding| finding.message.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(beyond("semi-trusted"), ["bpf"]);
    assert_eq!(beyond("untrusted"), ["ptrace", "bpf"]);
}

#[test]
fn the_levels_own_profiles_have_no_error_and_no_warning_but_the_known_one() {
    for level in levels::LEVELS {
        let found = check::check(&parse(levels::text(level).unwrap().as_bytes()).unwrap(), None);
        let worse: Vec<_> = found
            .unwrap()
            .into_iter()
            .filter(|finding| finding.severity > Severity::Note)
            .map(|finding| finding.id)
            .collect();
        // 32-bit programs work at the loosest level, and cannot be told their sockets' family.
        let known: &[&str] = if level == "trusted" { &["socketcall"] } else { &[] };
        assert_eq!(worse, known, "{level}");
    }
}
