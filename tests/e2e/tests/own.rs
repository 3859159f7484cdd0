//! The agent's own: its process, its files, its socket and what is pinned for it are out of a
//! tenant's reach, whatever the tenant was given.

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

    const PINS: &str = "/sys/fs/bpf:/pins";

    /// With the socket in the agent's home, too, where a container can be given it.
    fn at_home(node: &Node, name: &str) -> (Home, Agent) {
        let home = Home::new(name).unwrap();
        let tenants = format!("runtimeDirectory: {}/run\n{TENANTS}", home.directory().display());
        started(node, name, &tenants).unwrap()
    }

    /// A container that has everything, the agent's directory and its pins too.
    fn mighty(home: &Home, tenant: &str) -> Container {
        let home = format!("{}:/agent", home.directory().display());
        let mut options = MIGHTY.to_vec();
        options.extend(["--mount", &home, "--mount", PINS]);
        Container::start(Wish::new(tenant, "own", "runc").with(&options)).unwrap()
    }

    /// What attacks, and the rule that answers.
    fn attacks(agent: &Agent) -> Vec<(String, &'static str)> {
        let pid = agent.pid();
        let ask = "/opt/bulkhead-program tenants --socket /agent/run/agent.sock";
        [
            (format!("kill -STOP {pid}"), "BH-SELF-001"),
            (format!("kill -0 {pid}"), "BH-SELF-001"),
            (format!("renice -n 19 -p {pid}"), "BH-SELF-001"),
            (format!("true 3<> /proc/{pid}/mem"), "BH-SELF-001"),
            ("true >> /agent/state/evidence/current.jsonl".into(), "BH-SELF-002"),
            ("rm -f /agent/state/evidence/current.jsonl".into(), "BH-SELF-002"),
            ("mv /agent/state /agent/gone".into(), "BH-SELF-002"),
            ("ln /agent/state/evidence/current.jsonl /agent/mine".into(), "BH-SELF-002"),
            ("true >> /agent/config.yaml".into(), "BH-SELF-002"),
            ("rm -f /agent/run/agent.sock".into(), "BH-SELF-002"),
            (ask.into(), "BH-SELF-003"),
            // `rm -r` opens the directory first, which is another rule's.
            ("rmdir /pins/bulkhead".into(), "BH-SELF-004"),
            ("mv /pins/bulkhead /pins/gone".into(), "BH-SELF-004"),
            ("mkdir /pins/mine".into(), "BH-SELF-004"),
        ]
        .into()
    }

    fn is_of(event: &Event, rule: &str, effect: &str) -> bool {
        event.is_act() && event.text("rule") == rule && event.text("effect") == effect
    }

    #[test]
    fn a_tenant_cannot_touch_what_is_the_agents() {
        let Some(node) = Node::claim_with_bpf_lsm("the agent's own", true) else { return };
        let (home, mut agent) = at_home(&node, "own");
        let container = mighty(&home, "team-b");
        let pinned = fs::read_dir("/sys/fs/bpf/bulkhead").unwrap().count();
        for (line, rule) in attacks(&agent) {
            let before = home.evidence().newest().unwrap();
            let ended = container.sh(&format!("{line} 2>&1")).unwrap();
            assert!(!ended.well(), "{line}: {ended:?}");
            let seen = |event: &Event| is_of(event, rule, "denied");
            home.evidence().await_one(before, &line, seen).unwrap();
        }
        assert!(agent.runs().unwrap());
        assert_eq!(fs::read_dir("/sys/fs/bpf/bulkhead").unwrap().count(), pinned);
        // The twins: the same on what is its own.
        let twins = "sleep 9 & kill $! && mkdir /tmp/d && : > /tmp/d/f && ln /tmp/d/f /tmp/d/g \
                     && mv /tmp/d /tmp/e && rm -r /tmp/e";
        assert!(container.sh(twins).unwrap().well());
    }

    #[test]
    fn what_is_pinned_is_out_of_reach_while_no_agent_runs() {
        let Some(node) = Node::claim_with_bpf_lsm("the agent's own, without it", true) else {
            return;
        };
        let (home, agent) = at_home(&node, "own-absent");
        let container = mighty(&home, "team-a");
        agent.kill().unwrap();
        for line in ["rm -rf /pins/bulkhead", "rm -f /agent/state/evidence/current.jsonl"] {
            assert!(!container.sh(line).unwrap().well(), "{line}");
        }
        assert!(home.directory().join("state/evidence/current.jsonl").exists());
    }

    #[test]
    fn a_trusted_tenant_is_told_of() {
        let Some(node) = Node::claim_with_bpf_lsm("the agent's own, trusted", true) else { return };
        let (home, agent) = at_home(&node, "own-trusted");
        let container = mighty(&home, "team-c");
        let before = home.evidence().newest().unwrap();
        assert!(container.sh(&format!("kill -0 {}", agent.pid())).unwrap().well());
        let seen = |event: &Event| event.is_act() && event.text("rule") == "BH-SELF-001";
        home.evidence().await_one(before, "the signal", seen).unwrap();
    }
}
