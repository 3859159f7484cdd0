//! The guard outlives the agent: killed, relieved by another build, and in the end removed.

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        process::Command,
        time::{Duration, Instant},
    };

    use bulkhead_e2e::{
        agent::{Agent, Home, PROGRAM},
        cast::{MIGHTY, TENANTS},
        node::{self, Node, tell},
        pod::{Container, Wish},
        wait_for,
    };

    const RESTARTS: u32 = 100;
    const CHANGES: u32 = 4;
    const FORBIDDEN: &str = "/proc/sys/kernel/core_pattern";
    const RULES: [&str; 2] = ["BH-FILE-001", "BH-PROC-003"];

    /// A tenant at work, and another one that tries to break out all the time.
    struct Struggle {
        attacker: Container,
        victim: Container,
    }

    /// What came of it.
    #[derive(Debug)]
    struct Outcome {
        /// Tries of each of the two acts.
        tries: u32,
        /// What went through, a line each.
        through: String,
        /// Pieces of work that the victim has done.
        work: u32,
    }

    impl Struggle {
        fn begin() -> Self {
            let work = "( n=0; while [ ! -e /tmp/stop ]; do head -c 4096 /dev/urandom > /tmp/piece; \
                        n=$((n + 1)); echo $n > /tmp/work; sleep 0.05; done; touch /tmp/ended ) & true";
            let wish = Wish::new("team-b", "works", "crun").that_begins_with(work);
            let victim = Container::start(wish).unwrap();
            let attack = format!(
                // The first by a process of its own: what the same one repeats is counted, not told.
                "( exec 2> /dev/null; n=0; while [ ! -e /tmp/stop ]; do \
                 if (true > {FORBIDDEN}); then echo kernel >> /tmp/through; fi; \
                 if true < /proc/{}/environ; then echo crossing >> /tmp/through; fi; \
                 n=$((n + 1)); echo $n > /tmp/tries; sleep 0.02; done; touch /tmp/ended ) & true",
                victim.pid
            );
            let wish = Wish::new("team-a", "attacks", "runc").with(MIGHTY);
            let attacker = Container::start(wish.that_begins_with(&attack)).unwrap();
            Self { attacker, victim }
        }

        fn end(self) -> Outcome {
            for container in [&self.attacker, &self.victim] {
                container.sh("touch /tmp/stop").unwrap();
                wait_for("the end of the loop", || {
                    Ok(container.sh("test -e /tmp/ended")?.well().then_some(()))
                })
                .unwrap();
            }
            let number = |container: &Container, file: &str| -> u32 {
                container.sh(&format!("cat {file}")).unwrap().said.trim().parse().unwrap()
            };
            let outcome = Outcome {
                tries: number(&self.attacker, "/tmp/tries"),
                through: self.attacker.sh("cat /tmp/through 2> /dev/null").unwrap().said,
                work: number(&self.victim, "/tmp/work"),
            };
            self.attacker.remove().unwrap();
            self.victim.remove().unwrap();
            outcome
        }
    }

    fn denied(home: &Home, rule: &str) -> f64 {
        let labels = [("rule", rule), ("effect", "denied")];
        home.metrics().unwrap().sum("bulkhead_verdicts_total", &labels)
    }

    /// Acts whose records the kernel side has handed over, by its own counts.
    fn handed_over(home: &Home) -> f64 {
        let metrics = home.metrics().unwrap();
        let sum = |name: &str| -> f64 {
            let of = |rule| metrics.sum(name, &[("rule", rule), ("tenant", "team-a")]);
            RULES.into_iter().map(of).sum()
        };
        sum("bulkhead_verdicts_total")
            - sum("bulkhead_events_repeated_total")
            - sum("bulkhead_events_lost_total")
    }

    /// Each try was denied and counted once, whoever was there to see it.
    fn judge(home: &Home, outcome: &Outcome) {
        assert_eq!(outcome.through, "", "went through: {outcome:?}");
        for rule in RULES {
            let counted = wait_for(&format!("all {} tries of {rule}", outcome.tries), || {
                let counted = denied(home, rule);
                Ok((counted + 0.5 > f64::from(outcome.tries)).then_some(counted))
            })
            .unwrap();
            assert!((counted - f64::from(outcome.tries)).abs() < 0.5, "{rule}: {counted} counted");
        }
    }

    /// What the log says of our acts.
    #[derive(Debug)]
    struct Said {
        acts: u64,
        repeats: u64,
        lost: u64,
    }

    impl Said {
        fn read(home: &Home) -> Self {
            let mut said = Self { acts: 0, repeats: 0, lost: 0 };
            for event in home.evidence().events().unwrap() {
                let ours = RULES.contains(&event.text("rule"));
                match event.text("kind") {
                    "act" if ours && event.text("actor.tenant") == "team-a" => said.acts += 1,
                    "repeats" if ours => said.repeats += event.number("repeats").unwrap_or(0),
                    "loss" => said.lost += event.number("count").unwrap_or(0),
                    _ => {}
                }
            }
            said
        }

        /// Once the repeats of the last moments are told, too: each act is in the log once.
        fn account_for(home: &Home, acts: u64) -> Self {
            let said = wait_for(&format!("{acts} acts in the log"), || {
                let said = Self::read(home);
                Ok((said.sum() >= acts).then_some(said))
            });
            let said = said.unwrap();
            assert_eq!(said.sum(), acts, "{said:?}");
            said
        }

        fn sum(&self) -> u64 {
            self.acts + self.repeats + self.lost
        }
    }

    fn home(name: &str) -> Home {
        let home = Home::new(name).unwrap();
        home.write(&home.configuration(TENANTS)).unwrap();
        home
    }

    #[test]
    fn an_agent_that_is_killed_a_hundred_times_lets_nothing_through() {
        let Some(node) = Node::claim_with_bpf_lsm("kill -9", true) else { return };
        node.start_runtime().unwrap();
        let home = home("killed-often");
        let mut agent = Agent::start(&home).unwrap();
        let struggle = Struggle::begin();
        let mut longest = Duration::ZERO;
        let begun = Instant::now();
        for _ in 0..RESTARTS {
            let killed = Instant::now();
            agent.kill().unwrap();
            agent = Agent::start(&home).unwrap();
            longest = longest.max(killed.elapsed());
        }
        let took = begun.elapsed();
        let outcome = struggle.end();
        judge(&home, &outcome);
        let said = Said::account_for(&home, 2 * u64::from(outcome.tries));
        tell(&format!(
            "kill -9: {RESTARTS} restarts in {took:?}, longest without a reader {longest:?}; \
             {} tries of each of 2 acts, 0 went through, each denied and counted once; \
             in the log: {said:?}; the other tenant did {} pieces of work",
            outcome.tries, outcome.work
        ));
        assert!((handed_over(&home) - said.acts as f64).abs() < 0.5, "each record once: {said:?}");
        assert!(outcome.tries > RESTARTS, "too few tries to show anything: {outcome:?}");
        assert!(outcome.work > RESTARTS, "the other tenant was held up: {outcome:?}");
        assert!(home.evidence().events().unwrap().iter().any(|event| {
            event.text("subject") == "pinned" && event.text("message").contains("goes on with")
        }));
    }

    #[test]
    fn one_build_relieves_another_without_a_gap() {
        let Some(node) = Node::claim_with_bpf_lsm("the change of builds", true) else { return };
        node.start_runtime().unwrap();
        let home = home("relieved");
        let mut agent = Agent::start(&home).unwrap();
        let struggle = Struggle::begin();
        let mut longest = Duration::ZERO;
        for change in 1..=CHANGES {
            agent.terminate().unwrap();
            let begun = Instant::now();
            let mark = format!("build {change}");
            agent = Agent::start(&home.clone().with_build(&mark)).unwrap();
            longest = longest.max(begun.elapsed());
        }
        let outcome = struggle.end();
        judge(&home, &outcome);
        let said = Said::account_for(&home, 2 * u64::from(outcome.tries));
        tell(&format!(
            "change of builds: {CHANGES} changes, the longest took {longest:?}; {} tries of each of \
             2 acts, 0 went through, each denied and counted once; in the log: {said:?}; \
             the other tenant did {} pieces of work",
            outcome.tries, outcome.work
        ));
        let relieved = home.evidence().events().unwrap();
        let relieved = relieved.iter().filter(|event| event.text("message").contains("relieved"));
        assert_eq!(relieved.count(), CHANGES as usize);
        drop(agent);
    }

    #[test]
    fn unload_removes_everything_and_only_when_no_agent_runs() {
        let Some(node) = Node::claim_with_bpf_lsm("unload", true) else { return };
        node.start_runtime().unwrap();
        let home = home("unloaded");
        let agent = Agent::start(&home).unwrap();
        let wish = Wish::new("team-a", "unloaded", "crun").with(MIGHTY);
        let container = Container::start(wish).unwrap();
        let act = format!("true > {FORBIDDEN}");
        let refused = Command::new(PROGRAM).arg("unload").output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "an agent runs: {refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("stop the agent first"));
        assert!(container.sh(&act).unwrap().refused());
        agent.terminate().unwrap();
        assert!(container.sh(&act).unwrap().refused(), "enforcement ended with the agent");
        let programs = || {
            let listed = node::run(Command::new("bpftool").args(["prog", "list"])).unwrap().stdout;
            String::from_utf8(listed).unwrap()
        };
        assert!(programs().contains("name lsm_bpf "), "{}", programs());

        let said = node::run(Command::new(PROGRAM).args(["unload"])).unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("lsm_file_open") && said.contains("COUNTS"), "{said}");
        assert!(!Path::new("/sys/fs/bpf/bulkhead").exists());
        for name in ["lsm_", "fentry_", "tp_"] {
            assert!(!programs().contains(&format!("name {name}")), "{}", programs());
        }
        assert!(container.sh(&act).unwrap().well(), "something still refuses");
        container.remove().unwrap();
    }
}
