//! A container's identity is its cgroup's: nothing that a workload does with cgroups loosens it.

#[cfg(test)]
mod tests {
    use std::fs;

    use bulkhead_e2e::{
        agent::{Agent, Home},
        cast::{MIGHTY, TENANTS, is_of, started},
        node::Node,
        pod::{Container, Ended, Wish},
    };

    /// What no container of an untrusted tenant may do, wherever it is.
    const FORBIDDEN: &str = ": > /proc/sys/kernel/core_pattern";

    struct Stage {
        home: Home,
        _agent: Agent,
        actor: Container,
        neighbour: Container,
    }

    /// The actor's cgroups are all the node's, as for every privileged container.
    fn stage(node: &Node, name: &str) -> Stage {
        let (home, agent) = started(node, name, TENANTS).unwrap();
        let actor = Container::start(Wish::new("team-a", name, "runc").with(MIGHTY)).unwrap();
        let neighbour = Container::start(Wish::new("team-c", name, "crun")).unwrap();
        Stage { home, _agent: agent, actor, neighbour }
    }

    fn cgroup_of(container: &Container) -> String {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid)).unwrap();
        text.trim().trim_start_matches("0::").to_owned()
    }

    /// Moves a process of the actor there, and has it do what is forbidden.
    fn from(stage: &Stage, directory: &str) -> Ended {
        let line = format!("echo $$ > {directory}/cgroup.procs; {FORBIDDEN} && echo OUT");
        stage.actor.sh(&line).unwrap()
    }

    #[test]
    fn a_workload_cannot_leave_its_cgroup() {
        let Some(node) = Node::claim_with_bpf_lsm("leaving one's cgroup", true) else { return };
        let stage = stage(&node, "leave");
        let neighbour = format!("/sys/fs/cgroup{}", cgroup_of(&stage.neighbour));
        for directory in ["/sys/fs/cgroup", "/sys/fs/cgroup/system.slice", &neighbour] {
            let before = stage.home.evidence().newest().unwrap();
            let ended = from(&stage, directory);
            assert!(ended.refused(), "from {directory}: {}", ended.said);
            let event = stage.home.evidence().await_one(before, "of the attempt", |event| {
                event.text("effect") == "denied" && is_of(event, &stage.actor)
            });
            assert_eq!(event.unwrap().text("actor.tenant"), "team-a");
        }
    }

    #[test]
    fn a_cgroup_made_inside_a_container_is_the_containers() {
        let Some(node) = Node::claim_with_bpf_lsm("a nested cgroup", true) else { return };
        let stage = stage(&node, "nested");
        let own = format!("/sys/fs/cgroup{}/below", cgroup_of(&stage.actor));
        let made = stage.actor.sh(&format!("mkdir -p {own}")).unwrap();
        assert!(made.well(), "{}", made.said);
        let before = stage.home.evidence().newest().unwrap();
        let ended = from(&stage, &own);
        assert!(ended.refused(), "{}", ended.said);
        let event = stage.home.evidence().await_one(before, "of the act", |event| {
            event.text("rule") == "BH-FILE-001" && is_of(event, &stage.actor)
        });
        assert_eq!(event.unwrap().text("effect"), "denied");
    }

    #[test]
    fn a_workload_cannot_end_a_neighbour_through_its_cgroup() {
        let Some(node) = Node::claim_with_bpf_lsm("cgroup.kill", true) else { return };
        let stage = stage(&node, "neighbour");
        let neighbour = format!("/sys/fs/cgroup{}", cgroup_of(&stage.neighbour));
        for act in ["echo 1 > {}/cgroup.freeze", "echo 1 > {}/cgroup.kill"] {
            let ended = stage.actor.sh(&act.replace("{}", &neighbour)).unwrap();
            assert!(ended.refused(), "`{act}`: {}", ended.said);
        }
        assert!(stage.neighbour.still_runs().unwrap());
        assert!(stage.neighbour.sh("true").unwrap().well(), "it is frozen");
    }
}
