//! The documents that the runtime wrapper tightens: a container's `config.json`, and the `process.json` of
//! a process that joins it. Unlike the wrapper, this reads a result as a runtime does, as a whole.

use std::{collections::BTreeSet, ffi::OsString, os::unix::ffi::OsStringExt};

use bulkhead_runtime::{
    arguments,
    demands::Demands,
    json::Object,
    levels::Levels,
    owner::Owner,
    patch::{self, Lacks},
};
use serde_json::{Map, Value, json, value::RawValue};

/// The sets of capabilities.
const SETS: [&str; 5] = ["bounding", "effective", "inheritable", "permitted", "ambient"];
/// What the demands below may change of a process, and of `linux`.
const OF_PROCESS: [&str; 4] = ["capabilities", "noNewPrivileges", "apparmorProfile", "rlimits"];
const OF_LINUX: [&str; 3] = ["maskedPaths", "readonlyPaths", "seccomp"];
/// The most of `RLIMIT_NOFILE`.
const FILES: u64 = 64;

/// What is passed on is as tight as asked and otherwise unchanged, and is let alone the second time.
pub(crate) fn config(text: &[u8]) -> bool {
    others_who_read(text);
    let demands = asked();
    let Ok(done) = patch::container(text, &demands) else { return false };
    let result = done.as_deref().unwrap_or(text);
    assert_eq!(patch::container(result, &demands).unwrap(), None, "twice is not once");
    let lacks = Lacks::of_container(result).unwrap();
    // Where there is no process, nothing is to be confined.
    assert!(!lacks.seccomp && !lacks.apparmor, "{lacks:?}");
    // A number too large for Rust's is one that runtimes refuse too.
    let (Some(before), Some(after)) = (read(text), read(result)) else { return false };
    assert_unambiguous(&after, &demands);
    assert_process(&after["process"], &demands);
    let linux = &after["linux"];
    for (key, path) in [("maskedPaths", "/proc/kcore"), ("readonlyPaths", "/proc/sys")] {
        let has = |value: &Value| value[key].as_array().cloned().unwrap_or_default();
        assert!(has(linux).contains(&path.into()), "{linux}");
        assert!(has(&before["linux"]).iter().all(|it| has(linux).contains(it)), "{linux}");
    }
    let own = &before["linux"]["seccomp"];
    assert!(linux["seccomp"] == *own || linux["seccomp"] == profile(), "{linux}");
    assert_eq!(without_what_is_tightened(before), without_what_is_tightened(after));
    true
}

/// A process that joins a container gets no more than the level gives, or the container has. The two
/// documents are divided by a line `--`.
pub(crate) fn exec(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((container, process)) = text.split_once("\n--\n") else { return false };
    let own = Object::parse(container.as_bytes())
        .ok()
        .and_then(|configuration| Demands::of_container(&configuration).ok());
    let mut taken = false;
    for demands in [Some(asked()), own].into_iter().flatten() {
        let Ok(done) = patch::process(process.as_bytes(), &demands) else { continue };
        let result = done.as_deref().unwrap_or(process.as_bytes());
        assert_eq!(patch::process(result, &demands).unwrap(), None, "twice is not once");
        let (Some(before), Some(after)) = (read(process.as_bytes()), read(result)) else {
            continue;
        };
        assert_unambiguous(&json!({ "process": after }), &demands);
        assert_process(&after, &demands);
        assert_eq!(without(before, &OF_PROCESS), without(after, &OF_PROCESS));
        taken = true;
    }
    taken
}

/// What else meets these bytes: no promise but to come back.
fn others_who_read(text: &[u8]) {
    if let Ok(object) = Object::parse(text) {
        let _any = Demands::of_container(&object).is_ok();
        if let (Ok(owner), Ok(levels)) = (Owner::of(&object), Levels::parse(text)) {
            let _any = levels.asked_of(owner.namespace.as_deref(), &owner.cgroup);
        }
    }
    let words = text.split(|byte| b",: ".contains(byte));
    let words: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
    let _any = arguments::read(&words);
}

fn asked() -> Demands {
    Demands {
        capabilities: Some(BTreeSet::from(["CAP_KILL".to_owned()])),
        no_new_privileges: true,
        masked_paths: vec!["/proc/kcore".into()],
        readonly_paths: vec!["/proc/sys".into()],
        rlimits: [("RLIMIT_NOFILE".to_owned(), FILES)].into(),
        seccomp: Some(RawValue::from_string(profile().to_string()).unwrap()),
        apparmor: Some("bulkhead-x".into()),
    }
}

fn profile() -> Value {
    json!({ "defaultAction": "SCMP_ACT_ERRNO" })
}

fn read(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

fn assert_process(process: &Value, demands: &Demands) {
    if process.is_null() {
        return;
    }
    let ceiling = demands.capabilities.clone().unwrap_or_default();
    for set in SETS {
        for name in process["capabilities"][set].as_array().into_iter().flatten() {
            let upper = name.as_str().unwrap().to_ascii_uppercase();
            let bare = upper.trim_start_matches("CAP_");
            assert!(ceiling.contains(&format!("CAP_{bare}")), "{set}: {name}");
        }
    }
    assert!(!demands.no_new_privileges || process["noNewPrivileges"] == true, "{process}");
    let named = !["", "unconfined"].contains(&process["apparmorProfile"].as_str().unwrap_or(""));
    assert!(demands.apparmor.is_none() || named, "{process}");
    for limit in process["rlimits"].as_array().into_iter().flatten() {
        if limit["type"].as_str().is_some_and(|name| demands.rlimits.contains_key(name)) {
            let most = |key: &str| limit[key].as_u64().unwrap();
            assert!(most("hard") <= FILES && most("soft") <= FILES, "{limit}");
        }
    }
}

/// Go takes `Hard` for `hard`, and of two the last: no such key may be where something was asked.
fn assert_unambiguous(configuration: &Value, demands: &Demands) {
    let (process, linux) = (&configuration["process"], &configuration["linux"]);
    plain(configuration, &["process", "linux"]);
    plain(process, &["capabilities", "noNewPrivileges"]);
    if demands.apparmor.is_some() {
        plain(process, &["apparmorProfile"]);
    }
    if !demands.rlimits.is_empty() {
        plain(process, &["rlimits"]);
        each(&process["rlimits"], &["type", "hard", "soft"]);
    }
    plain(&process["capabilities"], &SETS);
    plain(linux, &OF_LINUX);
    plain(&linux["seccomp"], &["defaultAction", "syscalls"]);
    each(&linux["seccomp"]["syscalls"], &["action"]);
}

fn each(objects: &Value, fields: &[&str]) {
    objects.as_array().into_iter().flatten().for_each(|object| plain(object, fields));
}

fn plain(object: &Value, fields: &[&str]) {
    for key in object.as_object().into_iter().flat_map(Map::keys) {
        let folded = key.replace('\u{17F}', "s").replace('\u{212A}', "k").to_ascii_lowercase();
        let meant = fields.iter().find(|field| field.to_ascii_lowercase() == folded);
        assert!(meant.is_none_or(|field| field == key), "{key:?} may be read as {meant:?}");
    }
}

fn without_what_is_tightened(mut configuration: Value) -> Value {
    let process = without(configuration["process"].clone(), &OF_PROCESS);
    let linux = without(configuration["linux"].clone(), &OF_LINUX);
    let all = configuration.as_object_mut().unwrap();
    all.insert("process".to_owned(), process);
    // One that is not there is made.
    all.insert("linux".to_owned(), if linux.is_null() { json!({}) } else { linux });
    configuration
}

fn without(mut value: Value, keys: &[&str]) -> Value {
    if let Some(object) = value.as_object_mut() {
        keys.iter().for_each(|key| drop(object.remove(*key)));
    }
    value
}
