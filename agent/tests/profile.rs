//! `bulkhead profile` as a user types it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::process::{Command, Output};

fn profile(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bulkhead")).arg("profile").args(arguments).output().unwrap()
}

fn status(arguments: &[&str]) -> Option<i32> {
    profile(arguments).status.code()
}

fn text(arguments: &[&str]) -> String {
    let output = profile(arguments);
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_slice(&profile(arguments).stdout).unwrap()
}

/// A file with this content, for as long as the directory lives.
fn file(directory: &tempfile::TempDir, content: &str) -> String {
    let path = directory.path().join("profile.json");
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_check_ends_with_what_it_found() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(status(&["check", "untrusted"]), Some(0));
    let open = file(&directory, r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
    assert_eq!(status(&["check", &open]), Some(2));
    let findings = json(&["check", &open, "--level", "untrusted", "--json"]);
    let ids: Vec<_> =
        findings["findings"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert!(
        ids.iter().any(|id| *id == "default-allow") && ids.iter().any(|id| *id == "beyond-level")
    );
    let broken = file(&directory, "{\n\"defaultAction\": 3\n}");
    assert_eq!(status(&["check", &broken]), Some(64));
    assert!(text(&["check", &broken]).contains("line 2, column 18, in `defaultAction`"));
}

#[test]
fn a_difference_goes_one_way() {
    assert_eq!(status(&["diff", "untrusted", "trusted"]), Some(0));
    assert_eq!(status(&["diff", "trusted", "untrusted"]), Some(2));
    assert!(text(&["diff", "trusted", "untrusted"]).contains("ptrace on x86_64, aarch64"));
    assert_eq!(status(&["diff", "trusted", "no-such-file"]), Some(1));
}

#[test]
fn a_call_is_explained_with_the_rule_that_decides() {
    let said = text(&["explain", "untrusted", "socket", "--args", "a0=38,a1=5"]);
    assert!(said.contains("socket(0x26, 0x5) on x86_64 (number 41): refuse (EPERM)"), "{said}");
    let said = text(&["explain", "untrusted", "keyctl", "--arch", "aarch64"]);
    assert!(said.contains("kernel keyrings"), "{said}");
    assert!(text(&["explain", "untrusted", "keyctll"]).contains("was keyctl meant?"));
    assert_eq!(status(&["explain", "untrusted", "socket", "--args", "a6=1"]), Some(2));
}

#[test]
fn levels_are_shown_as_they_are_installed() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().to_str().unwrap();
    assert_eq!(status(&["install", "--directory", below]), Some(0));
    let installed = std::fs::read_to_string(directory.path().join("bulkhead/semi-trusted.json"));
    assert_eq!(text(&["show", "semi-trusted"]), installed.unwrap());
    assert!(
        text(&["install", "--directory", "/proc"])
            .contains("cannot install the seccomp profile /proc/bulkhead")
    );
    assert!(text(&["show", "none"]).contains("one of trusted, semi-trusted, untrusted"));
}

#[test]
fn merged_profiles_allow_what_either_allows() {
    let merged = profile(&["merge", "untrusted", "semi-trusted"]);
    let directory = tempfile::tempdir().unwrap();
    let merged = file(&directory, &String::from_utf8(merged.stdout).unwrap());
    assert_eq!(status(&["diff", &merged, "semi-trusted"]), Some(0));
    assert_eq!(status(&["diff", "semi-trusted", &merged]), Some(0));
}
