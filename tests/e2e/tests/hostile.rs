//! A tenant chooses every name, number and moment that the guard sees: nothing that it does is told of
//! somebody else, and nothing of it breaks the log or the agent.

#[cfg(test)]
mod tests {
    use std::fs;

    use bulkhead_e2e::{
        agent::Home,
        cast::{MIGHTY, TENANTS, is_of, started},
        evidence::Event,
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };

    const ACT: &str = ": > /proc/sys/kernel/core_pattern";
    const RULE: &str = "BH-FILE-001";

    fn is_the_act(event: &Event) -> bool {
        event.is_act() && event.text("rule") == RULE
    }

    fn put(container: &Container, name: &str, text: &str) {
        fs::write(format!("/proc/{}/root/tmp/{name}", container.pid), text).unwrap();
    }

    fn containers(home: &Home) -> u64 {
        home.metrics().unwrap().sum("bulkhead_containers", &[]).round() as u64
    }

    /// What the kernel says of a process's memory, in KiB.
    fn resident(pid: u32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn a_process_that_gets_the_number_of_another_is_not_taken_for_it() {
        let Some(node) = Node::claim_with_bpf_lsm("numbers used again", true) else { return };
        let (home, _agent) = started(&node, "numbers", TENANTS).unwrap();
        let one = Container::start(Wish::new("team-a", "one", "runc").with(MIGHTY)).unwrap();
        let first = "mkfifo /tmp/go; while read word < /tmp/go; do sh /tmp/act other; done";
        let wish = Wish::new("team-b", "other", "crun").with(MIGHTY).that_begins_with(first);
        let other = Container::start(wish).unwrap();
        let line = format!("{ACT}; true");
        put(&one, "act", &line);
        put(&other, "act", &line);
        let before = home.evidence().newest().unwrap();
        one.sh("sh /tmp/act one; true").unwrap();
        let earlier = home.evidence().await_one(before, "the first act", is_the_act).unwrap();
        let number = earlier.number("actor.process.pid").unwrap();
        assert!(is_of(&earlier, &one), "{earlier}");

        // Somebody else may take the number first: tried until the other tenant has it.
        let later = (0..50).find_map(|_| {
            let before = home.evidence().newest().unwrap();
            fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
            fs::write(format!("/proc/{}/root/tmp/go", other.pid), "go\n").unwrap();
            let act = home.evidence().await_one(before, "the other act", is_the_act).unwrap();
            (act.number("actor.process.pid") == Some(number)).then_some(act)
        });
        let later = later.expect("the other tenant never got the number");
        assert!(is_of(&later, &other), "{later}");
        let start = |event: &Event| event.number("actor.process.startTime").unwrap();
        assert!(start(&later) > start(&earlier));
        let lineage = later.value("lineage.processes").to_string();
        assert!(lineage.contains(r#""other""#) && !lineage.contains(r#""one""#), "{lineage}");
    }

    #[test]
    fn processes_that_end_at_once_are_named() {
        const MANY: usize = 40;
        let Some(node) = Node::claim_with_bpf_lsm("processes that end at once", true) else {
            return;
        };
        let (home, _agent) = started(&node, "ended", TENANTS).unwrap();
        let container =
            Container::start(Wish::new("team-a", "short", "runc").with(MIGHTY)).unwrap();
        put(&container, "act", &format!("{ACT}; true"));
        let before = home.evidence().newest().unwrap();
        let line = format!("for i in $(seq {MANY}); do sh /tmp/act $i & done; wait; true");
        assert!(container.sh(&line).unwrap().well());
        let acts = wait_for("all acts", || {
            let mut acts = home.evidence().after(before)?;
            acts.retain(is_the_act);
            Ok((acts.len() == MANY).then_some(acts))
        });
        let acts = acts.unwrap();
        for act in &acts {
            assert!(is_of(act, &container), "{act}");
            assert_eq!(act.text("actor.attribution"), "named", "{act}");
            assert_eq!(act.text("actor.process.binary.path"), "/bin/busybox", "{act}");
        }
        let mut numbers: Vec<_> = acts.iter().map(|act| act.number("actor.process.pid")).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), MANY, "each is told for itself");
    }

    #[test]
    fn cgroups_made_and_removed_by_the_thousand_cost_the_agent_nothing() {
        const MANY: u64 = 1_000;
        let Some(node) = Node::claim_with_bpf_lsm("many cgroups", true) else { return };
        let (home, agent) = started(&node, "many", TENANTS).unwrap();
        let earlier = containers(&home);
        let container = Container::start(Wish::new("team-a", "many", "crun").with(MIGHTY)).unwrap();
        let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid)).unwrap();
        let own = format!("/sys/fs/cgroup{}", text.trim().trim_start_matches("0::"));
        let line = format!(
            "for i in $(seq {MANY}); do mkdir {own}/$i && rmdir {own}/$i || exit 1; done; \
             mkdir {own}/last && echo $$ > {own}/last/cgroup.procs && ({ACT}); true"
        );
        // The pod's sandbox and the container, beside what earlier tests have left.
        wait_for("the new pod in the metrics", || {
            Ok((containers(&home) == earlier + 2).then_some(()))
        })
        .unwrap();
        let memory = resident(agent.pid());
        let before = home.evidence().newest().unwrap();
        let ended = container.sh(&line).unwrap();
        assert!(ended.well(), "{}", ended.said);
        let act = home.evidence().await_one(before, "the act below", is_the_act).unwrap();
        assert!(is_of(&act, &container), "{act}");
        assert_eq!(act.text("effect"), "denied", "{act}");
        assert_eq!(containers(&home), earlier + 2, "they are no containers");
        let after = resident(agent.pid());
        node::tell(&format!(
            "{MANY} cgroups: the agent had {memory} KiB before, {after} KiB after"
        ));
        assert!(after < memory + 4_096, "its memory grows with what a tenant makes");
    }

    #[test]
    fn names_that_a_tenant_chose_cannot_break_the_log() {
        let Some(node) = Node::claim_with_bpf_lsm("hostile names", true) else { return };
        let (home, _agent) = started(&node, "names", TENANTS).unwrap();
        let container =
            Container::start(Wish::new("team-b", "names", "runc").with(MIGHTY)).unwrap();
        // By its name, busybox would not know what to be.
        let odd = "cd /tmp && n=$(printf 'a\\nb\\033[2J\"c') && cp /bin/busybox \"$n\" && ln -s \"$n\" sh && \
                   ./sh -c ': > /proc/sys/kernel/core_pattern'; true";
        let before = home.evidence().newest().unwrap();
        container.sh(odd).unwrap();
        let act = home.evidence().await_one(before, "the odd name", is_the_act).unwrap();
        assert_eq!(act.text("actor.process.binary.path"), r#"/tmp/a\x0ab\x1b[2J"c"#, "{act}");

        // A path of nearly 4 KiB, of which a record holds the end.
        let long = "d=$(head -c 200 /dev/zero | tr '\\0' d); cd /tmp; \
                    for i in $(seq 18); do mkdir $d && cd $d || exit 1; done; \
                    cp /bin/busybox sh && ./sh -c ': > /proc/sys/kernel/core_pattern'; true";
        let before = home.evidence().newest().unwrap();
        container.sh(long).unwrap();
        let act = home.evidence().await_one(before, "the long path", is_the_act).unwrap();
        assert_eq!(act.value("actor.process.binary.truncated"), true, "{act}");
        assert!(act.text("actor.process.binary.path").ends_with("d/sh"), "{act}");
        assert!(is_of(&act, &container), "{act}");
    }
}
