//! Ordinary programs at the levels that refuse anything: what of them is refused and recorded is what their rows in
//! `tests/benign` say, and nothing else.

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        sync::OnceLock,
        thread,
    };

    use bulkhead_benign::{Effect, Level, PROGRAMS, Program};
    use bulkhead_e2e::{
        agent::{Agent, Home},
        beacon::{Beacon, is_of},
        evidence::Event,
        metrics::Metrics,
        node::Node,
        pod::{Container, Ended, Wish},
        programs,
    };

    /// What reads the node's processes is declared.
    const EXCEPTION: &str = "exceptions: [{ name: exporter, reason: reads the node's figures, \
        workload: { pod: host-pid }, rules: { BH-PROC-008: [host, tenant, cross-tenant] } }]";

    /// The containers of a level, one of each kind.
    #[derive(Debug)]
    struct Stand {
        level: Level,
        ordinary: Container,
        host_pid: Container,
    }

    /// An agent and a tenant of each of these levels.
    #[derive(Debug)]
    struct Fair {
        home: Home,
        _agent: Agent,
        beacon: Beacon,
        stands: Vec<Stand>,
    }

    /// What became of a program at a level.
    #[derive(Debug)]
    struct Outcome {
        level: Level,
        ended: Ended,
        events: Vec<Event>,
    }

    impl Stand {
        fn start(level: Level) -> Self {
            let of_programs = programs::options().unwrap();
            let of_programs = of_programs.each_ref().map(String::as_str);
            let start = |pod, more: &[&str]| {
                let unfiltered = ["--seccomp", "unconfined", "--apparmor", "unconfined"];
                let options = [&of_programs, &unfiltered, more];
                let options = options.concat();
                let wish = Wish::new(level.name(), pod, "runc");
                Container::start(wish.with(&options)).unwrap()
            };
            Self {
                level,
                ordinary: start("ordinary", &[]),
                host_pid: start("host-pid", &["--host-pid"]),
            }
        }

        fn container(&self, program: &Program) -> &Container {
            match program.container {
                bulkhead_benign::Container::Ordinary => &self.ordinary,
                bulkhead_benign::Container::HostPid => &self.host_pid,
            }
        }
    }

    impl Fair {
        fn open(node: &Node) -> Self {
            node.start_runtime().unwrap();
            let home = Home::new("benign").unwrap();
            let tenant = |level: Level| {
                let name = level.name();
                format!(
                    "  - {{ name: {name}, level: {name}, namespaces: [{name}], {EXCEPTION} }}\n"
                )
            };
            let tenants: String = Level::ALL.map(tenant).concat();
            home.write(&home.configuration(&format!("tenants:\n{tenants}"))).unwrap();
            let agent = Agent::start(&home).unwrap();
            let stands = Level::ALL.map(Stand::start).into();
            Self { home, _agent: agent, beacon: Beacon::start().unwrap(), stands }
        }

        /// Runs the program at both levels at once.
        fn run(&self, program: &Program) -> Vec<Outcome> {
            let line = programs::line(program);
            let run_all = || {
                thread::scope(|scope| {
                    let begun: Vec<_> = self
                        .stands
                        .iter()
                        .map(|stand| scope.spawn(|| stand.container(program).sh(&line)))
                        .collect();
                    begun.into_iter().map(|thread| thread.join().unwrap()).collect()
                })
            };
            let (ended, mut acts): (Vec<Ended>, _) =
                self.beacon.events_of(&self.home.evidence(), run_all).unwrap();
            // What the agent says of the node, and of what the containers lack, is not theirs.
            acts.retain(Event::is_act);
            let outcome = |(stand, ended): (&Stand, Ended)| {
                let container = stand.container(program);
                let own = acts.iter().filter(|event| is_of(event, container));
                Outcome { level: stand.level, ended, events: own.cloned().collect() }
            };
            let outcomes: Vec<_> = self.stands.iter().zip(ended).map(outcome).collect();
            let seen: usize = outcomes.iter().map(|outcome| outcome.events.len()).sum();
            assert_eq!(seen, acts.len(), "somebody else's among {acts:#?}");
            outcomes
        }

        fn metrics(&self) -> Metrics {
            self.home.metrics().unwrap()
        }
    }

    /// The containers are dear: all tests share them. The agent ends with the guest.
    fn fair(node: &Node) -> &'static Fair {
        static FAIR: OnceLock<Fair> = OnceLock::new();
        FAIR.get_or_init(|| Fair::open(node))
    }

    /// The counts of denials and of acts that a node could not deny, by tenant.
    fn alerting(metrics: &Metrics, tenant: &str) -> f64 {
        let count = |label, value| {
            metrics.sum("bulkhead_verdicts_total", &[("tenant", tenant), (label, value)])
        };
        let declared = [("tenant", tenant), ("relation", "cross-tenant"), ("verdict", "except")];
        count("effect", "denied")
            + count("effect", "not_denied")
            + count("relation", "cross-tenant")
            - metrics.sum("bulkhead_verdicts_total", &declared)
    }

    /// Runs the program of this name and holds what came to its row.
    fn check(name: &str) {
        let Some(node) = Node::claim_with_bpf_lsm(name, true) else { return };
        let program = PROGRAMS.iter().find(|program| program.name == name).unwrap();
        let fair = fair(&node);
        let before = fair.metrics();
        let outcomes = fair.run(program);
        let faults: Vec<String> =
            outcomes.iter().flat_map(|outcome| faults(program, outcome)).collect();
        assert!(faults.is_empty(), "{name}{}", faults.concat());
        let after = fair.metrics();
        let mild = Level::SemiTrusted.name();
        let [before, after] = [&before, &after].map(|metrics| alerting(metrics, mild));
        assert_eq!(before, after, "{name} raises an alert at {mild}");
    }

    /// Where a program's row and what came of it are not the same.
    fn faults(program: &Program, outcome: &Outcome) -> Vec<String> {
        let Outcome { level, ended, events } = outcome;
        let mut faults = Vec::new();
        let mut fault = |what: String| faults.push(format!("\n  at {}: {what}", level.name()));
        if ended.well() != program.works_at(*level) {
            fault(format!("ended with {}: {}", ended.status, ended.said));
        }
        let expected: BTreeSet<(&str, &str)> =
            program.seen_at(*level).map(|(rule, effect)| (rule, effect.word())).collect();
        let mut came: BTreeMap<(&str, &str), &Event> = BTreeMap::new();
        for event in events {
            came.entry((event.text("rule"), event.text("effect"))).or_insert(event);
            if event.text("effect") == Effect::Observed.word() && event.text("severity") != "info" {
                fault(format!("{} raises an alert: {event}", event.text("severity")));
            }
        }
        for (what, event) in came.iter().filter(|(what, _)| !expected.contains(*what)) {
            fault(format!("not in its row: {what:?}: {event}"));
        }
        for what in expected.iter().filter(|what| !came.contains_key(*what)) {
            fault(format!("its row says {what:?}, which did not come"));
        }
        faults
    }

    bulkhead_e2e::programs! {
        nginx apache2 postgres redis mariadb node java python php gcc debuggers balancers
        daemons bubblewrap fio exporter
    }

    #[test]
    fn every_program_of_the_list_is_run() {
        let listed: BTreeSet<_> = PROGRAMS.iter().map(|program| program.name).collect();
        assert_eq!(listed, TESTED.iter().copied().collect());
    }
}
