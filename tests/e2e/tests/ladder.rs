//! What a node says that it can do, and what it then does, with BPF LSM and without.

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bulkhead_e2e::{
        agent::{Agent, Home, PROGRAM},
        cast::{MIGHTY, is_of},
        node::Node,
        pod::{Container, Wish},
    };
    use serde_json::Value;

    /// What `bulkhead doctor` exits with when some rule cannot refuse.
    const NOT_ENFORCED: i32 = 3;

    const TENANTS: &str =
        "tenants:\n  - { name: team-a, level: untrusted, namespaces: [team-a] }\n";

    /// What `bulkhead doctor --json` says, and its exit status.
    fn doctor() -> (Value, Option<i32>) {
        let said = Command::new(PROGRAM).args(["doctor", "--json"]).output().unwrap();
        let ladder = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said.stderr)));
        (ladder, said.status.code())
    }

    /// The rules in this state.
    fn rules_in(ladder: &Value, state: &str) -> Vec<String> {
        let rules = ladder["rules"].as_array().unwrap().iter();
        let found = rules.filter(|rule| rule["state"] == state);
        found.map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn with_bpf_lsm_every_rule_can_refuse() {
        let Some(_node) = Node::claim_with_bpf_lsm("the whole ladder", true) else { return };
        let (ladder, status) = doctor();
        assert_eq!(status, Some(0));
        assert!(rules_in(&ladder, "enforcing").len() > 30, "{ladder:#}");
        assert_eq!(rules_in(&ladder, "observing"), Vec::<String>::new());
        assert_eq!(rules_in(&ladder, "blind"), Vec::<String>::new());
    }

    #[test]
    fn with_bpf_lsm_every_behaviour_meets_what_its_level_promises() {
        let Some(_node) = Node::claim_with_bpf_lsm("every behaviour", true) else { return };
        let said = Command::new(PROGRAM).args(["prove", "--json"]).output().unwrap();
        let proof: Value = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said.stderr)));
        let levels = proof["levels"].as_array().unwrap();
        let trials = levels.iter().flat_map(|level| level["trials"].as_array().unwrap());
        let broken: Vec<_> = trials.filter(|trial| trial["as_promised"] != true).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        assert!(proof["behaviours"].as_u64().unwrap() >= 120, "{}", proof["behaviours"]);
        assert_eq!(said.status.code(), Some(0), "{}", proof["conclusion"]);
    }

    #[test]
    fn without_bpf_lsm_the_doctor_says_what_is_only_seen_and_what_to_change() {
        let Some(_node) = Node::claim_with_bpf_lsm("the ladder without LSM", false) else { return };
        let (ladder, status) = doctor();
        assert_eq!(status, Some(NOT_ENFORCED));
        let observing = rules_in(&ladder, "observing");
        for rule in ["BH-MNT-001", "BH-NS-001", "BH-PROC-003", "BH-PROC-004", "BH-CAP-001"] {
            assert!(observing.iter().any(|seen| seen == rule), "{rule} is not among {observing:?}");
        }
        let advice = ladder["advice"].as_array().unwrap();
        assert!(advice.iter().any(|line| line.as_str().unwrap().contains("lsm=")), "{advice:?}");
    }

    #[test]
    fn without_bpf_lsm_acts_go_through_and_are_reported_as_not_denied() {
        let Some(node) = Node::claim_with_bpf_lsm("acts without LSM", false) else { return };
        node.start_runtime().unwrap();
        let home = Home::new("degraded").unwrap();
        home.write(&home.configuration(TENANTS)).unwrap();
        let agent = Agent::start(&home).unwrap();
        let actor = Container::start(Wish::new("team-a", "web", "runc").with(MIGHTY));
        let actor = actor.unwrap();
        for (rule, line) in [
            ("BH-PROC-003", "cat /proc/1/environ"),
            ("BH-NS-001", "unshare -U true"),
            ("BH-MNT-001", "mkdir -p /tmp/a; mount -t tmpfs x /tmp/a"),
            ("BH-PROC-004", "kill -URG 1"),
        ] {
            let before = home.evidence().newest().unwrap();
            let ended = actor.sh(line).unwrap();
            assert!(ended.well(), "`{line}`: {}", ended.said);
            let event = home.evidence().await_one(before, rule, |event| {
                event.text("rule") == rule && is_of(event, &actor)
            });
            let event = event.unwrap();
            assert_eq!(event.text("verdict"), "deny", "{event}");
            assert_eq!(event.text("effect"), "not_denied", "{event}");
            assert_eq!(event.text("rung"), "fentry", "{event}");
        }
        let metrics = home.metrics().unwrap();
        assert!(metrics.sum("bulkhead_rules", &[("state", "observing")]) > 20.0);
        let labels = [("control", "BH-PROC-003"), ("rung", "fentry")];
        assert!(metrics.sum("bulkhead_control_rung", &labels) > 0.5);
        let told = home.evidence().events().unwrap();
        let told = told.iter().any(|event| {
            event.text("subject") == "control" && event.text("message").contains("BH-PROC-003")
        });
        assert!(told, "the log does not say what cannot be refused");
        assert!(agent.log().contains("to get more"), "{}", agent.log());
    }
}
