//! Containers that are frozen: at once, whole, with a capture, and until somebody thaws them.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::PathBuf,
        process::{Child, Command, Stdio},
        thread::sleep,
        time::Duration,
    };

    use bulkhead_e2e::{
        agent::Agent,
        cast::{MIGHTY, started},
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };
    use serde_json::Value;

    const LEVELS: &str = "defaultLevel: cold
levels:
  - { name: cold, extends: trusted, rules: { BH-FILE-001: freeze, BH-NS-001: kill } }
tenants:
  - { name: shop, level: cold, namespaces: [shop] }
";
    const ACT: &str = "echo x > /proc/sys/kernel/core_pattern";
    /// Says that it lives, ten times a second.
    const BEAT: &str = "(while :; do cat /proc/uptime > /tmp/beat; \
                        sleep 0.1; done) & nc -l -p 4444 & :";

    /// A line of shell in a container that may not come to its end.
    struct Unwaited(Child);

    impl Unwaited {
        fn start(container: &Container, line: &str) -> Self {
            let mut command = Command::new("bulkhead-cri");
            command.args(["exec", &container.id, "--", "sh", "-c", line]);
            Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
        }
    }

    impl Drop for Unwaited {
        fn drop(&mut self) {
            self.0.kill().and_then(|()| self.0.wait()).unwrap();
        }
    }

    fn beat(container: &Container) -> String {
        fs::read_to_string(format!("/proc/{}/root/tmp/beat", container.pid)).unwrap_or_default()
    }

    fn beats(container: &Container) -> bool {
        let before = beat(container);
        sleep(Duration::from_secs(1));
        beat(container) != before
    }

    fn cgroup_of(container: &Container) -> PathBuf {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid)).unwrap();
        let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
        PathBuf::from("/sys/fs/cgroup").join(path)
    }

    fn state(container: &Container) -> String {
        let output =
            node::run(Command::new(bulkhead()).args(["container", "--json", &container.id]));
        let told: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        told["state"].as_str().unwrap().to_owned()
    }

    fn bulkhead() -> &'static str {
        bulkhead_e2e::agent::PROGRAM
    }

    fn thaw(container: &Container) {
        node::run(Command::new(bulkhead()).args(["thaw", &container.id[..12]])).unwrap();
    }

    #[test]
    fn a_container_that_breaks_out_is_frozen_whole_and_what_it_did_is_kept() {
        let Some(node) = Node::claim_with_bpf_lsm("freeze, capture, thaw", true) else { return };
        let (home, _agent) = started(&node, "freeze", LEVELS).unwrap();
        let mut options = MIGHTY.to_vec();
        options.extend(["--env", "DB_PASSWORD=hunter2"]);
        let wish = Wish::new("shop", "web", "runc").with(&options).that_begins_with(BEAT);
        let container = Container::start(wish).unwrap();
        wait_for("the first beat", || Ok(beats(&container).then_some(()))).unwrap();
        // The actor is in a cgroup inside the container: all of the container stands still.
        let nested = cgroup_of(&container).join("nested");
        fs::create_dir(&nested).unwrap();
        let before = home.evidence().newest().unwrap();
        let line = format!("read go < /tmp/go; {ACT}; sleep 600; true");
        assert!(container.sh("mkfifo /tmp/go").unwrap().well());
        let _actor = Unwaited::start(&container, &line);
        let pid = wait_for("the actor", || Ok(waiting_for_a_fifo(&container))).unwrap();
        fs::write(nested.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(format!("/proc/{}/root/tmp/go", container.pid), "go\n").unwrap();

        let evidence = home.evidence();
        let is = |action: &'static str| {
            move |event: &bulkhead_e2e::evidence::Event| event.text("action") == action
        };
        let act = evidence.await_one(before, "the act", |event| event.is_act()).unwrap();
        assert_eq!((act.text("verdict"), act.text("effect")), ("freeze", "denied"), "{act}");
        let frozen = evidence.await_one(before, "the freeze", is("freeze")).unwrap();
        assert_eq!(frozen.text("container.id"), container.id);
        assert_eq!(frozen.number("cause.sequence"), Some(act.sequence()));
        let micros = frozen.number("tookMicros").expect("every process stands still");
        node::tell(&format!("figure: from the act to the frozen container {micros} µs"));
        assert_eq!(state(&container), "frozen");
        assert!(!beats(&container), "it goes on");

        let captured = evidence.await_one(before, "the capture", is("capture")).unwrap();
        let file = captured.text("capture.file");
        let sum = node::run(Command::new("sha256sum").arg(file)).unwrap().stdout;
        assert!(String::from_utf8(sum).unwrap().starts_with(captured.text("capture.sha256")));
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("DB_PASSWORD") && !text.contains("hunter2"), "values are kept");
        let capture: Value = serde_json::from_str(&text).unwrap();
        check(&capture, &container, act.number("actor.process.pid").unwrap());

        // The core pattern must be as it was.
        assert!(!fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().starts_with("x\n"));
        thaw(&container);
        evidence.await_one(before, "the thaw", is("thaw")).unwrap();
        assert_eq!(state(&container), "running");
        assert!(beats(&container), "it does not go on");
    }

    fn check(capture: &Value, container: &Container, actor: u64) {
        let processes = capture["processes"].as_array().unwrap();
        let of = |wanted: u64| processes.iter().find(|process| process["pid"] == wanted);
        let first = of(container.pid.into()).expect("the container's first process");
        assert_eq!(processes[0]["pid"], actor, "the one that acted comes first");
        assert!(processes[0]["arguments"]["told"].to_string().contains(ACT));
        for process in [first, &processes[0]] {
            assert_eq!(process["binary"]["sha256"].as_str().map(str::len), Some(64), "{process}");
            assert!(
                process["namespaces"]["mnt"].is_u64() && process["credentials"]["CapEff"] != ""
            );
            assert!(process["descriptors"]["count"].as_u64().unwrap() > 2);
            assert!(!process["maps"]["told"].as_array().unwrap().is_empty());
        }
        let listens = |process: &&Value| process["sockets"].to_string().contains(":4444");
        let server = processes.iter().find(listens).expect("the one that listens");
        assert_eq!(server["sockets"][0]["state"], "listening");
        assert!(capture["cut"].as_array().unwrap().is_empty(), "{}", capture["cut"]);
    }

    /// The process of the container that waits for a word from outside.
    fn waiting_for_a_fifo(container: &Container) -> Option<u32> {
        let listed = fs::read_to_string(cgroup_of(container).join("cgroup.procs")).ok()?;
        listed.lines().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("read go")
        })
    }

    #[test]
    fn a_system_namespace_is_refused_and_not_frozen() {
        let Some(node) = Node::claim_with_bpf_lsm("system namespaces", true) else { return };
        let (home, _agent) = started(&node, "system", LEVELS).unwrap();
        let wish = Wish::new("kube-system", "dns", "crun").with(MIGHTY);
        let container = Container::start(wish).unwrap();
        let before = home.evidence().newest().unwrap();
        assert!(container.sh(ACT).unwrap().refused());
        let withheld = home
            .evidence()
            .await_one(before, "it is withheld", |event| event.text("action") == "freeze-withheld");
        assert_eq!(withheld.unwrap().text("container.id"), container.id);
        assert_eq!(state(&container), "running");
        let asked = Command::new(bulkhead()).args(["freeze", &container.id]).output().unwrap();
        assert!(String::from_utf8_lossy(&asked.stderr).contains("never frozen"), "{asked:?}");
        assert_eq!((asked.status.code(), state(&container).as_str()), (Some(1), "running"));
    }

    #[test]
    fn an_agent_that_comes_back_knows_what_is_frozen() {
        let Some(node) = Node::claim_with_bpf_lsm("frozen across a restart", true) else { return };
        let (home, agent) = started(&node, "again", LEVELS).unwrap();
        let wish = Wish::new("shop", "job", "crun").with(MIGHTY).that_begins_with(BEAT);
        let container = Container::start(wish).unwrap();
        let id = &container.id;
        let frozen = Command::new(bulkhead())
            .args(["freeze", id, "--reason", "ticket\n1"])
            .output()
            .unwrap();
        assert!(frozen.status.success(), "{frozen:?}");
        agent.kill().unwrap();
        assert!(!beats(&container), "it goes on without the agent");
        let _agent = Agent::start(&home).unwrap();
        let told = node::run(Command::new(bulkhead()).arg("tenants")).unwrap().stdout;
        let told = String::from_utf8(told).unwrap();
        let line = told.lines().find(|line| line.contains("shop/job/main")).unwrap();
        assert!(line.contains("frozen") && line.contains(r"ticket\x0a1"), "{line}");
        thaw(&container);
        wait_for("the next beat", || Ok(beats(&container).then_some(()))).unwrap();
        // Somebody else lets it go on: told.
        let before = home.evidence().newest().unwrap();
        node::run(Command::new(bulkhead()).args(["freeze", id])).unwrap();
        fs::write(cgroup_of(&container).join("cgroup.freeze"), "0").unwrap();
        let thawed = home.evidence().await_one(before, "the thaw", |event| {
            event.text("action") == "thaw" && event.text("cause.by") == "somebody"
        });
        assert_eq!(thawed.unwrap().text("severity"), "high");
    }

    #[test]
    fn a_tenant_that_asks_the_agent_is_refused_and_told() {
        let Some(node) = Node::claim_with_bpf_lsm("a tenant at the socket", true) else { return };
        let (home, _agent) = started(&node, "socket", LEVELS).unwrap();
        let mut options = MIGHTY.to_vec();
        options.extend(["--mount", "/run/bulkhead:/run/bulkhead"]);
        let wish = Wish::new("shop", "spy", "runc").with(&options);
        let container = Container::start(wish).unwrap();
        let before = home.evidence().newest().unwrap();
        let asked = container.sh("/opt/bulkhead-program thaw x").unwrap();
        assert!(asked.status != 0 && asked.said.contains("may not ask"), "{}", asked.said);
        let told = home
            .evidence()
            .await_one(before, "the intruder", |event| event.text("subject") == "intruder");
        assert!(told.unwrap().text("message").contains("tenant shop"));
    }
}
