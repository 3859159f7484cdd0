use serde_json::{Value, json, value::RawValue};

use super::*;

fn demands() -> Demands {
    Demands {
        capabilities: Some(["CAP_CHOWN", "CAP_KILL"].map(str::to_owned).into()),
        no_new_privileges: true,
        masked_paths: vec!["/proc/kcore".into(), "/proc/keys".into()],
        readonly_paths: vec!["/proc/sys".into()],
        rlimits: [("RLIMIT_CORE".to_owned(), 0), ("RLIMIT_NOFILE".to_owned(), 64)].into(),
        seccomp: Some(
            RawValue::from_string(r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#.into()).unwrap(),
        ),
        apparmor: Some("bulkhead-x".into()),
    }
}

fn patched(configuration: &Value) -> Value {
    let text = serde_json::to_vec(configuration).unwrap();
    let once = container(&text, &demands()).unwrap().unwrap_or(text);
    assert_eq!(container(&once, &demands()).unwrap(), None, "a second time changes nothing");
    serde_json::from_slice(&once).unwrap()
}

#[test]
fn every_capability_set_is_reduced_to_the_ceiling() {
    let all = json!(["CAP_CHOWN", "CAP_SYS_ADMIN", "chown", "CAP_NEW_ONE", "CAP_KILL"]);
    let sets: Value = SETS.map(|set| (set.to_owned(), all.clone())).into_iter().collect();
    let result = patched(&json!({"process": {"capabilities": sets}}));
    for set in SETS {
        let left = &result["process"]["capabilities"][set];
        assert_eq!(left, &json!(["CAP_CHOWN", "chown", "CAP_KILL"]), "{set}");
    }
}

#[test]
fn a_container_without_anything_gets_everything_asked() {
    let result = patched(&json!({"process": {"args": ["x"]}, "linux": {}}));
    let process = &result["process"];
    assert_eq!(process["noNewPrivileges"], true);
    assert_eq!(process["apparmorProfile"], "bulkhead-x");
    assert_eq!(process.get("capabilities"), None, "none is given where there was none");
    assert_eq!(result["linux"]["maskedPaths"], json!(["/proc/kcore", "/proc/keys"]));
    assert_eq!(result["linux"]["readonlyPaths"], json!(["/proc/sys"]));
    assert_eq!(result["linux"]["seccomp"], json!({"defaultAction": "SCMP_ACT_ERRNO"}));
    assert_eq!(patched(&json!({"process": {}}))["linux"]["readonlyPaths"], json!(["/proc/sys"]));
}

#[test]
fn what_is_tighter_already_stays() {
    let own = json!({"defaultAction": "SCMP_ACT_KILL", "syscalls": []});
    let result = patched(&json!({
        "process": {
            "noNewPrivileges": true, "apparmorProfile": "own", "capabilities": {"bounding": []},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 8, "soft": 4}]
        },
        "linux": {"maskedPaths": ["/proc/keys", "/secret"], "seccomp": own}
    }));
    assert_eq!(result["process"]["apparmorProfile"], "own");
    assert_eq!(result["linux"]["seccomp"], own);
    assert_eq!(result["linux"]["maskedPaths"], json!(["/proc/keys", "/secret", "/proc/kcore"]));
    let limits = result["process"]["rlimits"].as_array().unwrap();
    assert!(limits.contains(&json!({"type": "RLIMIT_NOFILE", "hard": 8, "soft": 4})));
}

#[test]
fn limits_are_lowered_and_those_that_would_be_inherited_too() {
    let limits = json!([{"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 32}]);
    let result = patched(&json!({"process": {"rlimits": limits}}));
    let limits = result["process"]["rlimits"].as_array().unwrap();
    assert!(
        limits.contains(&json!({"type": "RLIMIT_NOFILE", "hard": 64, "soft": 32})),
        "{limits:?}"
    );
}

#[test]
fn a_seccomp_profile_that_refuses_nothing_is_replaced_and_one_that_does_is_kept() {
    let with = |profile: Value| {
        patched(&json!({"linux": {"seccomp": profile}}))["linux"]["seccomp"].clone()
    };
    let level = json!({"defaultAction": "SCMP_ACT_ERRNO"});
    assert_eq!(with(Value::Null), level);
    assert_eq!(with(json!({"defaultAction": "SCMP_ACT_ALLOW"})), level);
    let logs = json!({"defaultAction": "SCMP_ACT_LOG",
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]});
    assert_eq!(with(logs), level);
    let denies = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO"}]});
    assert_eq!(with(denies.clone()), denies);
}

#[test]
fn unknown_fields_their_order_and_long_numbers_stay() {
    let text = r#"{"zeta":1.00000000000000000001,"process":{"later":1e999,"noNewPrivileges":false,
        "args":["x"]},"alpha":{"deep":[null]},"linux":{"timeOffsets":{"boottime":{"secs":18446744073709551616}}}}"#;
    let result = container(text.as_bytes(), &demands()).unwrap().unwrap();
    let result = String::from_utf8(result).unwrap();
    for kept in [
        "\"zeta\":1.00000000000000000001",
        "\"later\":1e999",
        "18446744073709551616",
        r#""deep":[null]"#,
    ] {
        assert!(result.contains(kept), "{kept} in {result}");
    }
    let order =
        ["zeta", "process", "later", "args", "alpha", "linux"].map(|key| result.find(key).unwrap());
    assert!(order.is_sorted(), "{result}");
}

#[test]
fn a_configuration_that_reads_in_two_ways_is_refused() {
    for text in [
        r#"{"process":{"capabilities":{"bounding":[],"Bounding":["CAP_SYS_ADMIN"]}}}"#,
        r#"{"process":{"noNewPrivileges":true,"nonewprivileges":false}}"#,
        r#"{"Process":{}}"#,
        r#"{"process":{"capabilities":"all"}}"#,
        r#"{"process":[]}"#,
        r#"{"linux":{"maskedPaths":[1]}}"#,
        "",
        "{",
        r#"{"process":{"rlimits":[{"type":"RLIMIT_NOFILE","hard":1,"soft":1,"Hard":1000000}]}}"#,
        r#"{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount"],
            "action":"SCMP_ACT_ERRNO","Action":"SCMP_ACT_ALLOW"}]}}}"#,
    ] {
        assert!(container(text.as_bytes(), &demands()).is_err(), "{text}");
    }
}

#[test]
fn an_exec_s_process_is_held_to_the_same() {
    let text = br#"{"args":["sh"],"capabilities":{"effective":["CAP_SYS_ADMIN"]},"terminal":true}"#;
    let result = process(text, &demands()).unwrap().unwrap();
    let result: Value = serde_json::from_slice(&result).unwrap();
    assert_eq!(result["capabilities"]["effective"], json!([]));
    assert_eq!(result["noNewPrivileges"], true);
    assert_eq!(result["apparmorProfile"], "bulkhead-x");
    assert_eq!(process(&serde_json::to_vec(&result).unwrap(), &demands()).unwrap(), None);
}

#[test]
fn a_level_that_asks_nothing_changes_nothing() {
    let text = br#"{"process":{"capabilities":{"bounding":["CAP_SYS_ADMIN"]}}}"#;
    assert_eq!(container(text, &Demands::default()).unwrap(), None);
}
