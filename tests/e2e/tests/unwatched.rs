//! What happens while the agent cannot look: it is stopped, so that the kernel side is alone.

#[cfg(test)]
mod tests {
    use std::fs;

    use bulkhead_e2e::{
        agent::Home,
        cast::{MIGHTY, TENANTS, is_of, started},
        evidence::Event,
        node::Node,
        pod::{Container, Wish},
        wait_for,
    };

    const FORBIDDEN: &str = "/proc/sys/kernel/core_pattern";

    /// How often the same is done.
    const SAME: u64 = 1_000;
    /// All signals but two that threads keep for themselves, 32 and 33.
    const SIGNALS: u64 = 62;

    /// Threads of the kernel that stay: whom a signal would not end either.
    fn kernel_threads() -> Vec<String> {
        let threads: Vec<String> = fs::read_dir("/proc")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.parse::<u32>().is_ok())
            .filter(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let stays = stat.contains(" S 2 ") || stat.contains(" I 2 ");
                stays && !stat.contains("(kworker")
            })
            .collect();
        assert!(threads.len() > 10, "{threads:?}");
        threads
    }

    /// What the log says of the acts of `team-a` that met a rule.
    #[derive(Debug, Default)]
    struct Said {
        told: u64,
        repeated: u64,
        lost: u64,
    }

    impl Said {
        fn sum(&self) -> u64 {
            self.told + self.repeated + self.lost
        }
    }

    /// The log's account of a rule, when the repeats are told, too: the same number as the kernel's.
    fn settled(home: &Home, rule: &str, after: u64) -> Said {
        let account = wait_for("the log to say what the counters say", || {
            let counted = home
                .metrics()?
                .sum("bulkhead_verdicts_total", &[("rule", rule), ("tenant", "team-a")]);
            let mut said = Said::default();
            for event in home.evidence().after(after)? {
                if event.text("rule") != rule {
                    continue;
                }
                match event.text("kind") {
                    "act" => said.told += 1,
                    "repeats" => said.repeated += event.number("repeats").unwrap_or(0),
                    "loss" => said.lost += event.number("count").unwrap_or(0),
                    _ => {}
                }
            }
            Ok((said.sum() > 0 && (said.sum() as f64 - counted).abs() < 0.5).then_some(said))
        });
        account.unwrap()
    }

    #[test]
    fn nothing_slips_through_before_a_container_is_named() {
        let Some(node) = Node::claim_with_bpf_lsm("the first instruction", true) else { return };
        let (home, agent) = started(&node, "early", TENANTS).unwrap();
        let first = format!("( : > {FORBIDDEN} ) && touch /tmp/leak; unshare -U touch /tmp/leak");
        for runtime in ["runc", "crun"] {
            let before = home.evidence().newest().unwrap();
            agent.stop().unwrap();
            let wish = Wish::new("team-a", runtime, runtime).with(MIGHTY);
            let container = Container::start(wish.that_begins_with(&first)).unwrap();
            let leak = container.sh("cat /tmp/leak").unwrap();
            assert!(leak.said.contains("No such file"), "it went through: {}", leak.said);
            agent.go_on().unwrap();
            for rule in ["BH-FILE-001", "BH-NS-001"] {
                let event = home.evidence().await_one(before, rule, |event| {
                    event.text("rule") == rule && is_of(event, &container)
                });
                let event = event.unwrap();
                assert_eq!(event.text("effect"), "denied", "{event}");
                assert!(!event.is_of_setup(), "{event}");
            }
            let setup = home.evidence().after(before).unwrap();
            assert!(!setup.iter().any(Event::is_of_setup), "the runtime's set-up was judged");
            container.remove().unwrap();
        }
    }

    #[test]
    fn a_flood_loses_no_count_and_the_log_says_what_it_lost() {
        let Some(node) = Node::claim_with_bpf_lsm("a flood", true) else { return };
        let (home, agent) = started(&node, "flood", TENANTS).unwrap();
        let actor = Container::start(Wish::new("team-a", "flood", "crun").with(MIGHTY)).unwrap();
        let before = home.evidence().newest().unwrap();
        agent.stop().unwrap();
        // First the same again and again, then another act each time, by a builtin of the shell: faster
        // than a tenant's budget grows.
        let threads = kernel_threads();
        let flood = format!(
            "n=0; while [ $n -lt {SAME} ]; do echo -n > {FORBIDDEN}; n=$((n + 1)); done 2> /dev/null; \
             for p in {threads}; do s=1; while [ $s -le 64 ]; do kill -$s $p; \
             s=$((s + 1)); [ $s != 32 ] || s=34; done; done 2> /dev/null",
            threads = threads.join(" "),
        );
        actor.sh(&flood).unwrap();
        agent.go_on().unwrap();

        let same = settled(&home, "BH-FILE-001", before);
        assert_eq!(same.sum(), SAME, "{same:?}");
        assert_eq!((same.lost, same.repeated > 0), (0, true), "{same:?}");
        let other = settled(&home, "BH-PROC-004", before);
        assert_eq!(other.sum(), SIGNALS * threads.len() as u64, "{other:?}");
        assert!(other.lost > 0 && other.told > 64, "{other:?}");
        actor.remove().unwrap();
    }
}
