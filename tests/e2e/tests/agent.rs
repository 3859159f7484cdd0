//! The agent comes, goes, is killed and told otherwise, while workloads go on.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        panic::{AssertUnwindSafe, catch_unwind},
        path::Path,
        process::Command,
        sync::{
            OnceLock,
            atomic::{AtomicBool, Ordering},
        },
        thread::{self, sleep},
        time::{Duration, Instant},
    };

    use bulkhead_e2e::{
        agent::{Agent, Home},
        cast::{MIGHTY, is_of},
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };
    use serde_json::Value;

    /// What SIGTERM may take.
    const SHUTDOWN: Duration = Duration::from_secs(2);

    /// An act on the node that every level but `trusted` refuses, and one that only some refuse.
    const FORBIDDEN: &str = ": > /proc/sys/kernel/core_pattern";
    const DEBATABLE: &str = "unshare -U true";

    /// The pods of these tests: they outlive each agent.
    struct Pods {
        attacker: Container,
        victim: Container,
    }

    fn pods(node: &Node) -> &'static Pods {
        static PODS: OnceLock<Pods> = OnceLock::new();
        PODS.get_or_init(|| {
            node.start_runtime().unwrap();
            let start = |namespace, pod, runtime, options| {
                Container::start(Wish::new(namespace, pod, runtime).with(options)).unwrap()
            };
            Pods {
                attacker: start("team-a", "web", "runc", MIGHTY),
                victim: start("team-b", "db", "crun", &[]),
            }
        })
    }

    fn tenants(level: &str) -> String {
        format!(
            "tenants:\n  - {{ name: team-a, level: {level}, namespaces: [team-a] }}\n  \
             - {{ name: team-b, level: semi-trusted, namespaces: [team-b] }}\n"
        )
    }

    /// A home with this level for the attacker.
    fn home(name: &str, level: &str) -> Home {
        let home = Home::new(name).unwrap();
        home.write(&home.configuration(&tenants(level))).unwrap();
        home
    }

    fn refused(container: &Container, line: &str) -> bool {
        container.sh(line).unwrap().refused()
    }

    /// Waits for the newest configuration to be in force, or to have been refused.
    fn await_reload(home: &Home, result: &str, at_least: f64) {
        wait_for(&format!("{at_least} reloads with {result}"), || {
            let metrics = home.metrics()?;
            let reloads = metrics.sum("bulkhead_policy_reloads_total", &[("result", result)]);
            Ok((reloads >= at_least).then_some(()))
        })
        .unwrap();
    }

    fn reloads(home: &Home, result: &str) -> f64 {
        home.metrics().unwrap().sum("bulkhead_policy_reloads_total", &[("result", result)])
    }

    #[test]
    fn an_agent_that_was_killed_comes_back_without_touching_a_workload() {
        let Some(node) = Node::claim_with_bpf_lsm("killed and started again", true) else { return };
        let pods = pods(&node);
        let home = home("killed", "untrusted");
        // Three acts: the same one again would be counted with the first instead of told.
        let [before, meanwhile, after] =
            ["URG", "WINCH", "CONT"].map(|signal| format!("kill -{signal} {}", pods.victim.pid));
        let agent = Agent::start(&home).unwrap();
        assert!(refused(&pods.attacker, &before));
        agent.kill().unwrap();
        assert!(pods.attacker.still_runs().unwrap() && pods.victim.still_runs().unwrap());
        // What it attached goes on deciding, and its own business stays its own.
        assert!(refused(&pods.attacker, &meanwhile), "enforcement ended with the agent");
        assert!(pods.attacker.sh("true").unwrap().well());

        let newest = home.evidence().newest().unwrap();
        let mut agent = Agent::start(&home).unwrap();
        let adopted = home.metrics().unwrap();
        for tenant in ["team-a", "team-b"] {
            // A pod has two containers: the pause of its sandbox is one.
            let count = adopted.sum("bulkhead_containers", &[("tenant", tenant)]);
            assert!(count >= 2.0, "{count} containers of {tenant} right after the start");
        }
        assert!(refused(&pods.attacker, &after), "enforcement is not back");
        let crossings = wait_for("both crossings", || {
            let mut events = home.evidence().after(newest)?;
            events.retain(|event| {
                event.text("rule") == "BH-PROC-004" && is_of(event, &pods.attacker)
            });
            Ok((events.len() >= 2).then_some(events))
        });
        let crossings = crossings.unwrap();
        let event = &crossings[0];
        assert_eq!(event.text("effect"), "denied", "{event}");
        assert_eq!(event.text("actor.pod.name"), "web", "{event}");
        assert_eq!(event.text("target.pod.name"), "db", "{event}");
        assert_eq!(event.text("target.tenant"), "team-b", "{event}");
        assert!(pods.attacker.still_runs().unwrap() && pods.victim.still_runs().unwrap());
        assert!(agent.runs().unwrap());
    }

    #[test]
    fn an_agent_that_is_asked_to_end_does_so_within_two_seconds() {
        let Some(node) = Node::claim("SIGTERM") else { return };
        let pods = pods(&node);
        let home = home("terminated", "semi-trusted");
        let agent = Agent::start(&home).unwrap();
        let (status, took) = agent.terminate().unwrap();
        assert!(status.success(), "{status}");
        assert!(took < SHUTDOWN, "it took {took:?}");
        let last = home.evidence().events().unwrap().pop().unwrap();
        assert_eq!(last.text("subject"), "stopped", "{last}");
        assert!(last.text("message").contains("goes on deciding"), "{last}");
        assert!(pods.victim.still_runs().unwrap());
    }

    #[test]
    fn a_second_agent_refuses_to_start_and_names_the_first() {
        let Some(_node) = Node::claim("two agents") else { return };
        let home = home("twice", "semi-trusted");
        let mut first = Agent::start(&home).unwrap();
        let second = home.command().output().unwrap();
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert_eq!(second.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("process {} ", first.pid())), "{said}");
        assert!(first.runs().unwrap());
    }

    #[test]
    fn a_changed_policy_takes_hold_of_running_containers_both_ways() {
        let Some(node) = Node::claim_with_bpf_lsm("policy reload", true) else { return };
        let pods = pods(&node);
        let home = home("reload", "untrusted");
        let mut agent = Agent::start(&home).unwrap();
        for _ in 0..3 {
            for (level, refuses) in [("trusted", false), ("untrusted", true)] {
                let before = reloads(&home, "success");
                home.write(&home.configuration(&tenants(level))).unwrap();
                await_reload(&home, "success", before + 1.0);
                assert_eq!(refused(&pods.attacker, DEBATABLE), refuses, "as {level}");
            }
        }
        assert!(agent.runs().unwrap());
    }

    #[test]
    fn what_both_policies_refuse_is_refused_at_every_moment_of_a_change() {
        let Some(node) = Node::claim_with_bpf_lsm("reload under load", true) else { return };
        let pods = pods(&node);
        let home = home("under-load", "untrusted");
        let mut agent = Agent::start(&home).unwrap();
        // A builtin of the shell: some hundred attempts a second, none of which may succeed.
        let attack = format!(
            "rm -f /tmp/leaks /tmp/tries /tmp/end; n=0; while [ ! -e /tmp/end ]; do \
             ({FORBIDDEN}) 2> /dev/null && echo leak >> /tmp/leaks; \
             n=$((n + 1)); echo $n > /tmp/tries; done > /dev/null 2>&1 < /dev/null &"
        );
        assert!(pods.attacker.sh(&attack).unwrap().well());
        let tries = || -> u64 {
            let told = pods.attacker.sh("cat /tmp/tries").unwrap().said;
            told.trim().parse().unwrap_or_default()
        };
        for round in 0..4 {
            for level in ["semi-trusted", "untrusted"] {
                let (before, tried) = (reloads(&home, "success"), tries());
                home.write(&home.configuration(&tenants(level))).unwrap();
                await_reload(&home, "success", before + 1.0);
                wait_for("the attack to go on", || Ok((tries() > tried).then_some(()))).unwrap();
            }
            let leaks = pods.attacker.sh("cat /tmp/leaks").unwrap();
            assert!(!leaks.well(), "went through in round {round}: {}", leaks.said);
        }
        assert!(pods.attacker.sh("touch /tmp/end").unwrap().well());
        assert!(agent.runs().unwrap() && pods.attacker.still_runs().unwrap());
        let labels = [("rule", "BH-FILE-001"), ("tenant", "team-a"), ("effect", "denied")];
        let counted = || -> f64 { home.metrics().unwrap().sum("bulkhead_verdicts_total", &labels) };
        // One attempt may have been under way when it was asked to end.
        wait_for("each attempt to be counted", || {
            Ok((counted() + 0.5 >= tries() as f64).then_some(()))
        })
        .unwrap();
    }

    #[test]
    fn a_bad_policy_changes_nothing_and_is_told() {
        let Some(node) = Node::claim_with_bpf_lsm("a bad policy", true) else { return };
        let pods = pods(&node);
        let home = home("bad", "untrusted");
        let mut agent = Agent::start(&home).unwrap();
        let before = home.evidence().newest().unwrap();
        let bad = home.configuration(&tenants("untrusted")) + "    rules: { BH-MNT-01: deny }\n";
        home.write(&bad).unwrap();
        await_reload(&home, "failure", 1.0);
        let in_force = || home.metrics().unwrap().sum("bulkhead_policy_reload_success", &[]);
        assert!(in_force() < 0.5);
        assert!(refused(&pods.attacker, DEBATABLE), "the policy before is not in force");
        let notice = home.evidence().await_one(before, "of the bad policy", |event| {
            event.text("subject") == "policy" && event.text("severity") == "high"
        });
        let message = notice.unwrap().text("message").to_owned();
        assert!(message.contains("config.yaml:"), "{message}");
        home.write(&home.configuration(&tenants("trusted"))).unwrap();
        await_reload(&home, "success", 2.0);
        assert!(in_force() > 0.5);
        assert!(!refused(&pods.attacker, DEBATABLE), "the good policy is not in force");
        assert!(agent.runs().unwrap());
    }

    #[test]
    fn a_policy_changes_as_a_configmap_does() {
        let Some(node) = Node::claim_with_bpf_lsm("a ConfigMap", true) else { return };
        let pods = pods(&node);
        let home = Home::new("configmap").unwrap();
        let mount = home.directory().join("mount");
        // As the kubelet does it: the file is a link through a link, and that one is exchanged.
        let publish = |version: &str, level: &str| {
            let data = mount.join(version);
            fs::create_dir_all(&data).unwrap();
            fs::write(data.join("config.yaml"), home.configuration(&tenants(level))).unwrap();
            let new = mount.join("..data_tmp");
            symlink(version, &new).unwrap();
            fs::rename(new, mount.join("..data")).unwrap();
        };
        publish("..1", "untrusted");
        symlink(Path::new("..data/config.yaml"), mount.join("config.yaml")).unwrap();
        let home = home.clone().with_config(mount.join("config.yaml"));
        let mut agent = Agent::start(&home).unwrap();
        assert!(refused(&pods.attacker, DEBATABLE));
        publish("..2", "trusted");
        await_reload(&home, "success", 2.0);
        assert!(!refused(&pods.attacker, DEBATABLE));
        assert!(agent.runs().unwrap());
    }

    #[test]
    fn capabilities_that_are_no_longer_needed_are_gone() {
        let Some(_node) = Node::claim("capabilities dropped") else { return };
        let home = home("dropped", "semi-trusted");
        let agent = Agent::start(&home).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        let effective = u64::from_str_radix(line.trim(), 16).unwrap();
        // linux/capability.h: CAP_SYS_ADMIN, CAP_PERFMON, CAP_SYS_MODULE, CAP_NET_RAW.
        for capability in [21, 38, 16, 13] {
            assert_eq!(effective >> capability & 1, 0, "capability {capability} of {line}");
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            sleep(Duration::from_millis(500));
            assert!(home.metrics().is_ok(), "it does not work without them");
        }
    }

    /// Makes the last table of the kernel side, the canary's, say "off" again and again.
    fn blind(until: &AtomicBool) {
        let bpftool = |arguments: &str| {
            node::run(Command::new("bpftool").arg("-j").args(arguments.split_whitespace())).unwrap()
        };
        let shown: Value = serde_json::from_slice(&bpftool("map show name LEVELS").stdout).unwrap();
        let map = shown.as_array().map_or(&shown, |maps| &maps[0]);
        let number = |field: &str| usize::try_from(map[field].as_u64().unwrap()).unwrap();
        let [low, high, ..] = (number("max_entries") - 1).to_le_bytes();
        let value = "0 ".repeat(number("bytes_value"));
        let update = format!("map update id {} key {low} {high} 0 0 value {value}", map["id"]);
        while !until.load(Ordering::Relaxed) {
            bpftool(&update);
        }
    }

    #[test]
    fn a_canary_is_seen_and_one_that_a_blinded_guard_misses_is_told() {
        let Some(_node) = Node::claim_with_bpf_lsm("canary", true) else { return };
        let home = Home::new("canary").unwrap();
        let text = home.configuration(&tenants("untrusted"));
        home.write(&format!("{text}canary: {{ everyMinutes: 1 }}\n")).unwrap();
        let _agent = Agent::start(&home).unwrap();
        let await_canaries = |count: f64, result: &str| {
            wait_for(&format!("{count} canaries that are {result}"), || {
                let metrics = home.metrics()?;
                let canaries = metrics.sum("bulkhead_canaries_total", &[("result", result)]);
                Ok((canaries >= count).then_some(metrics))
            })
            .unwrap()
        };
        let metrics = await_canaries(4.0, "seen");
        assert_eq!(metrics.sum("bulkhead_canaries_total", &[("result", "missed")]), 0.0);
        assert_eq!(metrics.sum("bulkhead_verdicts_total", &[]), 0.0, "no tenant did anything");
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| blind(&ended));
            let missed = catch_unwind(AssertUnwindSafe(|| await_canaries(1.0, "missed")));
            ended.store(true, Ordering::Relaxed);
            missed.unwrap();
        });
        let told = home.evidence().events().unwrap();
        let told = told.iter().find(|event| event.text("subject") == "canary").unwrap();
        assert_eq!(told.text("severity"), "critical", "{told}");
    }
}
