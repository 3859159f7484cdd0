//! Whatever the bytes are: an error that says where, or a profile that can be looked at. Any bytes at all are
//! for the fuzz target `seccomp_profile`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bulkhead_seccomp::{Action, Arch, ParseError, Simulation, check, parse, write};
use proptest::prelude::*;

fn error(text: &str) -> String {
    parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn an_error_says_line_and_field() {
    let text = "{\n  \"defaultAction\": \"SCMP_ACT_ERRNO\",\n  \"syscalls\": [\n    { \"names\": [\"read\"], \"action\": \"SCMP_ACT_ALOW\" }\n  ]\n}";
    let said = error(text);
    assert!(said.starts_with("line 4, column "), "{said}");
    assert!(said.contains("in `syscalls[0].action`: no action \"SCMP_ACT_ALOW\""), "{said}");
}

#[test]
fn every_part_is_judged() {
    for (text, part) in [
        ("", "EOF"),
        ("[]", "expected struct Document"),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO"} x"#, "trailing"),
        (r#"{"syscalls":[]}"#, "defaultAction"),
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "cannot be the default"),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":-1}"#, "defaultErrnoRet"),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_VAX"]}"#,
            "SCMP_ARCH_VAX",
        ),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","flags":["X"]}"#, "no flag"),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":[],"action":"SCMP_ACT_ALLOW"}]}"#,
            "without names",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["re ad"],"action":"SCMP_ACT_ALLOW"}]}"#,
            "syscalls[0].names[0]",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["write"],"action":"SCMP_ACT_NOTIFY"}]}"#,
            "`write`",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
            "syscalls[0].args[0].index",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_IS"}]}]}"#,
            "SCMP_CMP_IS",
        ),
    ] {
        assert!(error(text).contains(part), "{text}: {}", error(text));
    }
}

#[test]
fn what_go_writes_for_nothing_is_nothing() {
    let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":null,"architectures":null,
        "flags":null,"listenerPath":"","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":null}]}"#;
    let parsed = parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.profile.listener_path, None);
    assert_eq!(parsed.unknown_fields, Vec::<String>::new());
}

#[test]
fn size_depth_and_number_are_bounded() {
    let large = vec![b' '; (1 << 20) + 1];
    assert_eq!(parse(&large), Err(ParseError::TooLarge(large.len())));
    assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    let deep = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","x":{}"#, "[".repeat(100_000));
    assert!(error(&deep).contains("EOF while parsing"), "{}", error(&deep));
    let rule = r#"{"names":["read"],"action":"SCMP_ACT_ALLOW"}"#;
    let many =
        format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{}]}}"#, [rule; 5000].join(","));
    assert!(error(&many).contains("more than 4096 rules"));
    let names = vec!["\"read\""; 20_000].join(",");
    let wide = format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":[{names}],"action":"SCMP_ACT_ALLOW"}}]}}"#
    );
    assert!(error(&wide).contains("more than 16384 names"));
}

#[test]
fn bits_beyond_a_mask_are_read_as_libseccomp_reads_them() {
    let rule = r#"{"names":["readv"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":256,
        "valueTwo":5,"op":"SCMP_CMP_MASKED_EQ"}]}"#;
    let text = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{rule}]}}"#);
    let parsed = parse(text.as_bytes()).unwrap();
    let simulation = Simulation::of(&parsed.profile).unwrap();
    for first in [0, 5, 256, 261] {
        let arguments = [first, 0, 0, 0, 0, 0];
        let answer = simulation.ask(Arch::X86_64, "readv", arguments).unwrap().unwrap();
        let holds = parsed.profile.rules[0].args[0].holds(&arguments);
        assert_eq!(holds, answer.action == Action::Allow, "{first}");
    }
    let found = check::check(&parsed, None).unwrap();
    assert!(found.iter().any(|finding| finding.id == "beyond-mask"), "{found:?}");
}

/// Profiles that parse, of few parts each of which matters.
fn small() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec![
        "ALLOW",
        "ERRNO",
        "LOG",
        "KILL",
        "TRAP",
        "TRACE",
        "KILL_PROCESS",
    ]);
    let name =
        prop::sample::select(vec!["read", "socket", "clone", "ioctl", "mseal", "nothing", "open"]);
    let op = prop::sample::select(vec!["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]);
    let value = prop_oneof![any::<u64>(), 0..64_u64];
    let condition = (0..6_u32, value.clone(), value, op).prop_map(|(index, value, two, op)| {
        format!(r#"{{"index":{index},"value":{value},"valueTwo":{two},"op":"SCMP_CMP_{op}"}}"#)
    });
    let rule = (name, action.clone(), prop::collection::vec(condition, 0..3)).prop_map(
        |(name, action, args)| {
            format!(
                r#"{{"names":["{name}"],"action":"SCMP_ACT_{action}","args":[{}]}}"#,
                args.join(",")
            )
        },
    );
    (action, prop::collection::vec(rule, 0..6)).prop_map(|(default, rules)| {
        format!(r#"{{"defaultAction":"SCMP_ACT_{default}","syscalls":[{}]}}"#, rules.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_parses_is_written_as_it_was_read_and_can_be_judged(text in small()) {
        let parsed = parse(text.as_bytes()).unwrap();
        let again = parse(write::to_text(&parsed.profile).as_bytes()).unwrap();
        prop_assert_eq!(&again.profile.rules.iter().map(|rule| &rule.args).collect::<Vec<_>>(),
            &parsed.profile.rules.iter().map(|rule| &rule.args).collect::<Vec<_>>());
        // libseccomp may refuse a combination of rules; then it is an error, not a crash.
        if let Ok(simulation) = Simulation::of(&parsed.profile) {
            prop_assert!(check::check(&parsed, Some(("itself", &simulation))).is_ok());
        }
    }
}
