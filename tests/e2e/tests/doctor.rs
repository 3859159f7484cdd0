//! What a node says that it can do, against what its kernel was booted with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::process::Command;

use bulkhead_e2e::node::Node;
use serde_json::Value;

/// The state of each rule that `bulkhead doctor` names, the advice it gives, and its exit status.
fn doctor() -> (Vec<(String, String)>, Vec<Value>, Option<i32>) {
    let said = Command::new("bulkhead").args(["doctor", "--json"]).output().unwrap();
    let ladder: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said.stderr)));
    let text = |rule: &Value, field: &str| rule[field].as_str().unwrap().to_owned();
    let rules = ladder["rules"].as_array().unwrap().iter();
    let states = rules.map(|rule| (text(rule, "rule"), text(rule, "state"))).collect();
    (states, ladder["advice"].as_array().unwrap().clone(), said.status.code())
}

#[test]
fn a_node_with_bpf_lsm_refuses_every_rule_and_one_without_says_that_it_only_sees() {
    let Some(_node) = Node::claim("the doctor") else { return };
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap();
    let (states, advice, status) = doctor();
    assert!(!states.is_empty());
    let refusing = states.iter().filter(|(_, state)| state == "enforcing").count();
    if modules.split(',').any(|module| module.trim() == "bpf") {
        assert_eq!(refusing, states.len(), "{states:?}");
        assert_eq!(status, Some(0));
    } else {
        assert_eq!(refusing, 0, "{states:?}");
        assert!(!advice.is_empty(), "no word on how to get more");
        assert_eq!(status, Some(3));
    }
}
