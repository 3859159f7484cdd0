//! Mutated configurations against the promises of the wrapper: it does not panic, and whatever it
//! passes on is as tight as asked and otherwise unchanged. Bounded, so that it runs with the tests;
//! `BULKHEAD_FUZZ_SECONDS=600 cargo test -p bulkhead-runtime --test fuzz` looks longer.
//! `BULKHEAD_FUZZ_SEED` repeats a run.

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        env,
        ffi::OsString,
        os::unix::ffi::OsStringExt,
        time::{Duration, Instant, SystemTime, UNIX_EPOCH},
    };

    use bulkhead_runtime::{
        arguments, demands::Demands, json::Object, levels::Levels, owner::Owner, patch,
    };
    use serde_json::{Value, value::RawValue};

    /// A real configuration of containerd's, shortened, and what is odd.
    const CORPUS: [&str; 6] = [
        include_str!("fuzz/containerd.json"),
        r#"{"process":{"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_KILL"],"ambient":null},"rlimits":[{"type":"RLIMIT_NOFILE","hard":1,"soft":1}]},"linux":{"maskedPaths":null,"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}"#,
        r#"{"process":{"noNewPrivileges":false,"apparmorProfile":"unconfined"},"annotations":{"io.kubernetes.pod.namespace":"a"}}"#,
        r#"{"x":1e999,"process":null,"linux":null,"y":"\ud83d\ude00"}"#,
        r#"{"annotations":{"io.kubernetes.cri.container-type":"sandbox"},"linux":{"cgroupsPath":"a-b.slice:p:n"}}"#,
        r#"{"format":1,"asked":[],"tenants":[],"default":0}"#,
    ];

    /// Pieces that a mutation puts somewhere.
    const PIECES: [&str; 22] = [
        "null",
        "{}",
        "[]",
        "\"\"",
        "0",
        "-1",
        "1e9999",
        "true",
        "\"CAP_SYS_ADMIN\"",
        "\"sys_admin\"",
        "\"process\":",
        "\"Process\":",
        "\"proce\u{17f}s\":",
        "\"capabilities\":{\"bounding\":[\"CAP_BPF\"]}",
        "\"noNewPrivileges\":false",
        "\"\\u0070rocess\":{}",
        ",",
        ":",
        "}",
        "]",
        "\\",
        "\u{0}",
    ];

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, end: usize) -> usize {
            (self.next() % (end.max(1) as u64)) as usize
        }

        fn mutated(&mut self, text: &str) -> Vec<u8> {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..=self.below(4) {
                let at = self.below(bytes.len());
                let end = at + self.below((bytes.len() - at).min(40));
                match self.below(5) {
                    0 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                    1 => drop(bytes.splice(at..at, PIECES[self.below(PIECES.len())].bytes())),
                    2 => drop(bytes.splice(at..end, PIECES[self.below(PIECES.len())].bytes())),
                    3 => drop(bytes.drain(at..end)),
                    _ => {
                        let part = bytes[at..end].to_vec();
                        let to = self.below(bytes.len());
                        drop(bytes.splice(to..to, part));
                    }
                }
            }
            bytes
        }
    }

    fn demands() -> Demands {
        let seccomp = r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#.to_owned();
        Demands {
            capabilities: Some(BTreeSet::from(["CAP_KILL".to_owned()])),
            no_new_privileges: true,
            masked_paths: vec!["/proc/kcore".into()],
            readonly_paths: vec!["/proc/sys".into()],
            rlimits: [("RLIMIT_NOFILE".to_owned(), 64)].into(),
            seccomp: Some(RawValue::from_string(seccomp).unwrap()),
            apparmor: Some("bulkhead-x".into()),
        }
    }

    /// What must hold of a process that the runtime gets to see. Unlike the wrapper, this reads it
    /// as a runtime does.
    fn assert_tight(process: &Value) {
        for (_, names) in process["capabilities"].as_object().into_iter().flatten() {
            for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let known = ["bounding", "effective", "inheritable", "permitted", "ambient"];
                let sets = process["capabilities"].as_object().unwrap();
                let of_a_set =
                    sets.iter().any(|(set, all)| known.contains(&set.as_str()) && all == names);
                let bare = name.to_ascii_uppercase();
                assert!(!of_a_set || bare.trim_start_matches("CAP_") == "KILL", "{process}");
            }
        }
        assert_eq!(process["noNewPrivileges"], true, "{process}");
        let profile = process["apparmorProfile"].as_str().unwrap_or_default();
        assert!(!["", "unconfined"].contains(&profile), "{process}");
        for limit in process["rlimits"].as_array().into_iter().flatten() {
            if limit["type"] == "RLIMIT_NOFILE" {
                assert!(limit["hard"].as_u64() <= Some(64) && limit["soft"].as_u64() <= Some(64));
            }
        }
    }

    /// Whether a runtime would take it at all.
    fn as_a_runtime_reads(text: &[u8]) -> Option<Value> {
        serde_json::from_slice(text).ok()
    }

    fn without_what_is_tightened(mut value: Value) -> Value {
        if let Some(object) = value.as_object_mut() {
            object.remove("linux");
            if let Some(process) = object.get_mut("process").and_then(Value::as_object_mut) {
                for key in ["capabilities", "noNewPrivileges", "apparmorProfile", "rlimits"] {
                    process.remove(key);
                }
            }
        }
        value
    }

    /// True if the wrapper took it.
    fn check(text: &[u8]) -> bool {
        if let Ok(object) = Object::parse(text) {
            drop(Owner::of(&object));
            drop(Demands::of_container(&object));
        }
        drop(Levels::parse(text));
        let Ok(done) = patch::container(text, &demands()) else { return false };
        let result = done.unwrap_or_else(|| text.to_vec());
        // A number too large for Rust's is one that runtimes refuse too.
        let (Some(before), Some(after)) = (as_a_runtime_reads(text), as_a_runtime_reads(&result))
        else {
            return false;
        };
        if after["process"].is_object() {
            assert_tight(&after["process"]);
        }
        let linux = &after["linux"];
        assert!(linux["maskedPaths"].as_array().unwrap().contains(&"/proc/kcore".into()));
        assert!(linux["readonlyPaths"].as_array().unwrap().contains(&"/proc/sys".into()));
        assert!(linux["seccomp"].is_object());
        assert_eq!(without_what_is_tightened(before), without_what_is_tightened(after));
        assert_eq!(patch::container(&result, &demands()).unwrap(), None, "twice is not once");
        if let Ok(Some(joined)) = patch::process(text, &demands()) {
            as_a_runtime_reads(&joined).iter().for_each(assert_tight);
        }
        true
    }

    #[test]
    fn whatever_is_passed_on_is_as_tight_as_asked() {
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let seconds = number("BULKHEAD_FUZZ_SECONDS").unwrap_or(3);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = number("BULKHEAD_FUZZ_SEED").unwrap_or(now) | 1;
        println!("BULKHEAD_FUZZ_SEED={seed}");
        let mut random = Random(seed);
        assert!(check(CORPUS[0].as_bytes()), "the corpus is none");
        let (begun, mut tried, mut taken) = (Instant::now(), 0_u64, 0_u64);
        while begun.elapsed() < Duration::from_secs(seconds) || tried < 2_000 {
            let text = random.mutated(CORPUS[random.0 as usize % CORPUS.len()]);
            tried += 1;
            taken += u64::from(check(&text));
            let words: Vec<OsString> = text
                .split(|byte| b",: ".contains(byte))
                .map(|word| OsString::from_vec(word.to_vec()))
                .collect();
            drop(arguments::read(&words));
        }
        println!("{tried} tried, {taken} taken");
        assert!(taken > tried / 50, "hardly any mutation was a configuration: {taken} of {tried}");
    }
}
