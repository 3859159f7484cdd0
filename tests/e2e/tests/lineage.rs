//! From which processes an actor comes: told with each act, whoever has ended or come back since.

#[cfg(test)]
mod tests {
    use std::fs;

    use bulkhead_e2e::{
        agent::{Agent, Home},
        cast::{MIGHTY, TENANTS, started},
        evidence::Event,
        node::Node,
        pod::{Container, Wish},
    };
    use serde_json::Value;

    const ACT: &str = "echo x > /proc/sys/kernel/core_pattern";

    fn act(home: &Home, before: u64) -> Event {
        let is = |event: &Event| event.is_act() && event.text("rule") == "BH-FILE-001";
        home.evidence().await_one(before, "the act", is).unwrap()
    }

    /// The last words of the command lines, from the first process to the actor.
    fn lines(event: &Event) -> Vec<String> {
        let processes = event.value("lineage.processes").as_array().unwrap();
        let known = |process: &Value| match process["arguments"].as_array().and_then(|it| it.last())
        {
            Some(word) => word.as_str().unwrap_or_default().to_owned(),
            None => "?".to_owned(),
        };
        processes.iter().map(known).collect()
    }

    #[test]
    fn an_act_is_told_with_the_shells_above_it() {
        let Some(node) = Node::claim_with_bpf_lsm("lineage", true) else { return };
        let (home, _agent) = started(&node, "lineage", TENANTS).unwrap();
        let container = Container::start(Wish::new("team-a", "web", "runc").with(MIGHTY)).unwrap();
        let before = home.evidence().newest().unwrap();
        let inner = format!("{ACT}; true");
        fs::write(format!("/proc/{}/root/tmp/inner", container.pid), &inner).unwrap();
        let outer = "sh /tmp/inner one; true";
        assert!(container.sh(outer).unwrap().well());
        let event = act(&home, before);
        assert_eq!(lines(&event), [outer, "one"], "{event}");
        assert_eq!(event.text("lineage.origin"), "births");
        assert_eq!(event.text("lineage.entry"), "exec");
        let actor = event.value("lineage.processes")[1].clone();
        assert_eq!(actor["pid"].as_u64(), event.number("actor.process.pid"));
        assert_eq!(actor["startTime"].as_u64(), event.number("actor.process.startTime"));
        let top = event.value("lineage.processes")[0].clone();
        assert_eq!(
            (top["comm"].as_str(), top["binary"].as_str()),
            (Some("sh"), Some("/bin/busybox"))
        );

        // The shell in between ends before its child acts: it is told all the same.
        let before = home.evidence().newest().unwrap();
        let outer = "sh -c 'sh /tmp/late two & exit' between; sleep 3; true";
        let late = format!("sleep 2; {ACT}; true");
        fs::write(format!("/proc/{}/root/tmp/late", container.pid), late).unwrap();
        assert!(container.sh(outer).unwrap().well());
        let event = act(&home, before);
        let told = lines(&event);
        assert_eq!(told.first().map(String::as_str), Some(outer), "{event} {told:?}");
        assert!(told.contains(&"between".to_owned()), "{event} {told:?}");
        assert_eq!(told.last().map(String::as_str), Some("two"), "{event} {told:?}");

        // More of them than there is room for: the first and the nearest.
        let before = home.evidence().newest().unwrap();
        let deep = format!("[ $1 = 0 ] && {{ {ACT}; exit 0; }}; sh /tmp/deep $(($1 - 1)); true");
        fs::write(format!("/proc/{}/root/tmp/deep", container.pid), deep).unwrap();
        assert!(container.sh("sh /tmp/deep 20; true").unwrap().well());
        let event = act(&home, before);
        let told = lines(&event);
        assert_eq!(told.first().map(String::as_str), Some("sh /tmp/deep 20; true"), "{told:?}");
        assert_eq!(told[1..], ["8", "7", "6", "5", "4", "3", "2", "1", "0"], "{event}");
        assert_eq!(event.number("lineage.omitted"), Some(12), "{event}");
    }

    #[test]
    fn the_words_of_a_command_line_cannot_break_the_log() {
        let Some(node) = Node::claim_with_bpf_lsm("hostile command lines", true) else { return };
        let (home, _agent) = started(&node, "words", TENANTS).unwrap();
        let container = Container::start(Wish::new("team-a", "odd", "crun").with(MIGHTY)).unwrap();
        let before = home.evidence().newest().unwrap();
        let script = format!("{ACT}; true");
        fs::write(format!("/proc/{}/root/tmp/odd", container.pid), script).unwrap();
        let line = "sh /tmp/odd \"$(printf 'a\\nb\\033[2J')\" \"$(head -c 4000 /dev/zero | tr '\\0' z)\"; :";
        assert!(container.sh(line).unwrap().well());
        let event = act(&home, before);
        let actor = event.value("lineage.processes").as_array().unwrap().last().unwrap().clone();
        assert_eq!(actor["arguments"][2], r"a\x0ab\x1b[2J", "{actor}");
        assert_eq!(actor["argumentsCut"], true, "{actor}");
    }

    #[test]
    fn an_agent_that_comes_back_knows_what_ran_before() {
        let Some(node) = Node::claim_with_bpf_lsm("lineage after a restart", true) else { return };
        let (home, agent) = started(&node, "back", TENANTS).unwrap();
        // Its first process waits for a word and then starts another that acts.
        let first = "mkfifo /tmp/go; while read word < /tmp/go; do sh /tmp/act $word; done";
        let wish = Wish::new("team-a", "old", "runc").with(MIGHTY).that_begins_with(first);
        let container = Container::start(wish).unwrap();
        let root = format!("/proc/{}/root/tmp", container.pid);
        fs::write(format!("{root}/act"), format!("{ACT}; true")).unwrap();
        agent.kill().unwrap();
        let _agent = Agent::start(&home).unwrap();
        let before = home.evidence().newest().unwrap();
        fs::write(format!("{root}/go"), "again\n").unwrap();
        let event = act(&home, before);
        let told = lines(&event);
        assert_eq!(told.len(), 2, "{event} {told:?}");
        assert!(told[0].starts_with(first), "{event} {told:?}");
        assert_eq!(told[1], "again", "{event}");
        assert_eq!(event.text("lineage.entry"), "init", "{event}");
        assert_ne!(event.text("lineage.origin"), "unknown", "{event}");
    }
}
