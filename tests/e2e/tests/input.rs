//! What bad input gets: a clear word, never a weaker guard, and nothing that was written is lost.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        net::TcpListener,
        path::{Path, PathBuf},
        process::{Command, Output},
    };

    use bulkhead_e2e::{
        agent::{Agent, Home, PROGRAM},
        evidence::{Event, Evidence},
        metrics,
        node::{self, Node},
        wait_for,
    };

    /// sysexits.h: EX_USAGE.
    const BAD_CONFIGURATION: i32 = 64;

    fn home(name: &str, text: &str) -> Home {
        let home = Home::new(name).unwrap();
        home.write(&home.configuration(text)).unwrap();
        home
    }

    fn stderr(output: &Output) -> String {
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn sh(line: &str) -> Output {
        Command::new("sh").args(["-c", line]).output().unwrap()
    }

    /// A tenant whose containers are the cgroups below this path.
    fn tenant_below(path: &str) -> String {
        format!("tenants:\n  - {{ name: batch, level: untrusted, cgroups: [{path}/*] }}\n")
    }

    /// Runs a line of shell in a cgroup, as a container runtime starts a container.
    fn sh_in(cgroup: &Path, line: &str) -> Output {
        fs::create_dir_all(cgroup).unwrap();
        let place = format!("echo $$ > {}/cgroup.procs && exec sh -c \"$0\"", cgroup.display());
        Command::new("sh").args(["-c", &place, line]).output().unwrap()
    }

    #[test]
    fn an_unknown_rule_or_capability_is_refused_with_its_place() {
        let Some(_node) = Node::claim("a bad configuration") else { return };
        let faulty = "tenants:\n  - name: shop\n    level: untrusted\n    namespaces: [shop]\n    \
            rules:\n      BH-MNT-01: deny\n    capabilities:\n      ceiling: [NET_RAWW]\n";
        let home = home("faulty", faulty);
        let path = home.config().display().to_string();
        for mut command in [home.command(), check(home.config())] {
            let output = command.output().unwrap();
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(BAD_CONFIGURATION), "{said}");
            // The line before the tenants is the state directory's.
            for place in [format!("{path}:7:"), format!("{path}:9:")] {
                assert!(said.contains(&place), "no {place} in {said}");
            }
            assert!(said.contains("BH-MNT-01") && said.contains("NET_RAWW"), "{said}");
        }
    }

    fn check(config: &Path) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("check").arg(config);
        command
    }

    #[test]
    fn a_metrics_port_in_use_is_named() {
        let Some(_node) = Node::claim("a port in use") else { return };
        let home = home("port", "");
        let _taken = TcpListener::bind(home.address()).unwrap();
        let output = home.command().output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&home.address().to_string()), "{said}");
        assert!(said.contains("another process uses it"), "{said}");
    }

    #[test]
    fn a_missing_capability_is_named_with_its_purpose() {
        let Some(_node) = Node::claim("a missing capability") else { return };
        let home = home("capability", "");
        let agent = format!("exec {PROGRAM} run --config {}", home.config().display());
        for missing in ["cap_bpf", "cap_perfmon"] {
            let output = sh(&format!("capsh --drop={missing},cap_sys_admin -- -c '{agent}'"));
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            let told = format!("{} is missing: it is needed to", missing.to_uppercase());
            assert!(said.contains(&told), "{said}");
        }
    }

    #[test]
    fn a_kernel_without_types_is_told_from_one_that_is_too_old() {
        let Some(_node) = Node::claim("no BTF") else { return };
        let output =
            sh("unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && bulkhead doctor'");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("/sys/kernel/btf/vmlinux"), "{said}");
    }

    #[test]
    fn a_cgroup_that_does_not_exist_is_named_and_guarded_once_it_does() {
        let Some(_node) = Node::claim_with_bpf_lsm("a cgroup that is not there", true) else {
            return;
        };
        let home = home("cgroup", &tenant_below("/e2e.later"));
        let agent = Agent::start(&home).unwrap();
        assert!(agent.log().contains("/e2e.later"), "{}", agent.log());
        let before = home.evidence().newest().unwrap();
        let job = Path::new("/sys/fs/cgroup/e2e.later/job");
        let output = sh_in(job, ": > /proc/sys/kernel/core_pattern");
        assert!(stderr(&output).contains("Operation not permitted"), "{}", stderr(&output));
        let event = home.evidence().await_one(before, "of the job", |event| {
            event.text("rule") == "BH-FILE-001" && event.text("effect") == "denied"
        });
        let event = event.unwrap();
        assert_eq!(event.text("actor.tenant"), "batch", "{event}");
        assert_eq!(event.text("actor.container.cgroup"), "/e2e.later/job", "{event}");
        fs::remove_dir(job).unwrap();
    }

    /// A small file system that is gone with the test.
    struct Disk(PathBuf);

    impl Disk {
        fn new(name: &str, size: &str) -> Self {
            let path = Path::new("/run").join(name);
            fs::create_dir_all(&path).unwrap();
            let size = format!("size={size}");
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &size, "small"]).arg(&path);
            node::run(&mut mount).unwrap();
            Self(path)
        }

        fn grow(&self, size: &str) {
            let mut mount = Command::new("mount");
            mount.args(["-o", &format!("remount,size={size}")]).arg(&self.0);
            node::run(&mut mount).unwrap();
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            // Lazily: the agent may still have a file open there.
            if let Err(error) = node::run(Command::new("umount").arg("-l").arg(&self.0)) {
                node::tell(&format!("{error:#}"));
            }
        }
    }

    #[test]
    fn a_full_disk_is_told_and_nothing_is_lost() {
        let Some(_node) = Node::claim_with_bpf_lsm("a full disk", true) else { return };
        let disk = Disk::new("e2e-small", "64k");
        let directory = disk.0.join("evidence");
        let text = format!(
            "evidence:\n  directory: {}\n{}",
            directory.display(),
            tenant_below("/e2e.full")
        );
        let home = home("full", &text);
        let evidence = Evidence::in_directory(directory);
        let mut agent = Agent::start(&home).unwrap();
        let sum = |name: &str| home.metrics().unwrap().sum(name, &[]);
        let job = Path::new("/sys/fs/cgroup/e2e.full/job");
        let many = "for i in $(seq 100); do (: > /proc/sys/kernel/core_pattern) 2> /dev/null; done";
        for _ in 0..5 {
            sh_in(job, many);
        }
        wait_for("the disk to be full", || {
            Ok((sum("bulkhead_evidence_write_errors_total") > 0.5).then_some(()))
        })
        .unwrap();
        assert!(agent.log().contains("the evidence log cannot be written"), "{}", agent.log());
        assert!(agent.runs().unwrap());
        assert_eq!(metrics::get(home.address(), "/healthz").unwrap().status, 200);
        let output = sh_in(job, ": > /proc/sys/kernel/core_pattern");
        assert!(stderr(&output).contains("Operation not permitted"), "no longer enforced");
        let written = evidence.events().unwrap();
        assert!(!written.is_empty());

        disk.grow("8m");
        wait_for("all events to be written", || Ok((acts(&evidence) >= 501).then_some(())))
            .unwrap();
        let all = evidence.events().unwrap();
        for (number, event) in all.iter().enumerate() {
            assert_eq!(event.sequence(), number as u64 + 1, "a number is missing");
        }
        for (before, after) in written.iter().zip(&all) {
            assert_eq!(before.to_string(), after.to_string(), "what was written has changed");
        }
        assert!(agent.log().contains("can be written again"), "{}", agent.log());
        fs::remove_dir(job).unwrap();
    }

    #[test]
    fn an_agent_that_is_killed_over_a_full_disk_leaves_no_gap_untold() {
        let Some(_node) = Node::claim_with_bpf_lsm("a kill over a full disk", true) else { return };
        let disk = Disk::new("e2e-killed", "64k");
        let directory = disk.0.join("evidence");
        let place = format!("evidence:\n  directory: {}\n", directory.display());
        let home = home("killed-full", &(place + &tenant_below("/e2e.killed")));
        let evidence = Evidence::in_directory(directory);
        let agent = Agent::start(&home).unwrap();
        let job = Path::new("/sys/fs/cgroup/e2e.killed/job");
        sh_in(
            job,
            "for i in $(seq 500); do (: > /proc/sys/kernel/core_pattern) 2> /dev/null; done",
        );
        wait_for("the disk to be full", || {
            let errors = home.metrics()?.sum("bulkhead_evidence_write_errors_total", &[]);
            Ok((errors > 0.5).then_some(()))
        })
        .unwrap();
        agent.kill().unwrap();
        disk.grow("8m");
        let _next = Agent::start(&home).unwrap();
        wait_for("all events to be told", || Ok((acts(&evidence) >= 500).then_some(()))).unwrap();
        assert_eq!(acts(&evidence), 500);
        let all = evidence.events().unwrap();
        let left = all.iter().filter(|event| event.text("place") == "agent").collect::<Vec<_>>();
        let [left] = left.as_slice() else { panic!("{left:?}") };
        assert_eq!(left.text("rule"), "BH-FILE-001", "{left}");
        assert!(!left.text("tenant").is_empty(), "{left}");
        fs::remove_dir(job).unwrap();
    }

    /// The acts that the log tells of: by themselves, as repeats, or as lost.
    fn acts(evidence: &Evidence) -> u64 {
        let of = |event: &Event| match event.text("kind") {
            "act" => 1,
            "repeats" => event.number("repeats").unwrap_or(0),
            "loss" => event.number("count").unwrap_or(0),
            _ => 0,
        };
        evidence.events().unwrap().iter().map(of).sum()
    }
}
