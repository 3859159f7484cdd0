//! The levels' AppArmor profiles hold containers of both runtimes, and what a name means is changed
//! under running ones: tightened at once, never lost by a mistake.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        process::{Command, Output},
    };

    use bulkhead_e2e::{
        agent::{Agent, Home, PROGRAM},
        evidence::Event,
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };

    const LEVELS: [&str; 3] = ["trusted", "semi-trusted", "untrusted"];

    /// What a careless manifest gives away, so that nothing but the profile is in the way. The
    /// namespace is no tenant's: the guard only looks on.
    const CARELESS: [&str; 7] = [
        "--privileged",
        "--mount",
        "/var/lib/kubelet:/host/var/lib/kubelet",
        "--mount",
        "/run/containerd:/host/run/containerd",
        // Writable, which the rest of a container's /sys is not.
        "--mount",
        "/sys/module/printk:/sys/module/printk",
    ];

    /// Ordinary work.
    const ORDINARY: &[&str] = &[
        "echo text > /tmp/file && grep text /tmp/file && mv /tmp/file /tmp/other && rm /tmp/other",
        "mkfifo /tmp/pipe && ln -s /tmp/pipe /tmp/link && chmod 600 /tmp/pipe && chown 1:1 /tmp/pipe",
        "sleep 100 & kill $! && ps | grep -q sleep",
        "cat /proc/self/status /proc/meminfo /proc/cpuinfo /proc/sys/kernel/ostype > /dev/null",
        "cat /sys/fs/cgroup/cgroup.controllers /sys/kernel/mm/transparent_hugepage/enabled",
        "httpd -p 127.0.0.1:8080 -h /tmp && echo page > /tmp/page && \
            wget -q -O - http://127.0.0.1:8080/page",
        "cp /bin/busybox /tmp/true && /tmp/true true",
        "su -s /bin/sh nobody -c id || setuidgid 65534 id || true",
        "echo 500 > /proc/self/oom_score_adj",
    ];

    /// Refused at every level.
    const NOWHERE: &[&str] = &[
        "mkdir -p /tmp/m; mount -t tmpfs none /tmp/m",
        "mkdir -p /tmp/m; mount -t proc none /tmp/m",
        "mkdir -p /tmp/m; mount --bind /bin /tmp/m",
        ": > /proc/sys/kernel/core_pattern",
        ": > /proc/sys/vm/overcommit_memory",
        ": > /proc/sysrq-trigger",
        "head -c 1 /proc/kcore",
        ": > /sys/module/printk/parameters/time",
        "ls /sys/kernel/security/",
    ];

    /// Refused from `semi-trusted` on: the node's secrets by host path, the kernel's by file.
    const SECRET: &[&str] = &[
        "cat /host/var/lib/kubelet/pki/kubelet.key",
        "cat /host/var/lib/kubelet/pods/1/volumes/token",
        "cat /host/run/containerd/containerd.sock",
        "cat /proc/keys",
        "ls /sys/fs/bpf/",
        "umount /dev/shm",
    ];

    /// Refused at `untrusted` alone.
    const STRICT: &[&str] = &["head -c 1 /proc/kallsyms", "head -c 1 /proc/iomem"];

    fn bulkhead(arguments: &[&str]) -> Output {
        Command::new(PROGRAM).arg("apparmor").args(arguments).output().unwrap()
    }

    /// Standard error of a command that must end so.
    fn refused(arguments: &[&str], status: i32) -> String {
        let output = bulkhead(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        said
    }

    fn done(arguments: &[&str]) -> String {
        let output = node::run(Command::new(PROGRAM).arg("apparmor").args(arguments)).unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn listed(name: &str) -> Option<serde_json::Value> {
        let listed: serde_json::Value =
            serde_json::from_str(&done(&["list", "--all", "--json"])).unwrap();
        let profiles = listed["profiles"].as_array().unwrap().clone();
        profiles.into_iter().find(|profile| profile["name"] == name)
    }

    fn label(container: &Container) -> String {
        let path = format!("/proc/{}/attr/apparmor/current", container.pid);
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    fn start(pod: &str, runtime: &str, options: &[&str], profile: &str) -> Container {
        let options = [options, &["--apparmor", profile]].concat();
        Container::start(Wish::new("lab", pod, runtime).with(&options)).unwrap()
    }

    fn secrets_of_the_node() {
        for file in ["pki/kubelet.key", "pods/1/volumes/token"] {
            let path = Path::new("/var/lib/kubelet").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "secret\n").unwrap();
        }
    }

    /// Does each in the container and compares what is refused with what should be.
    fn hold(container: &Container, allowed: &[&[&str]], refused: &[&[&str]]) {
        let lines = |parts: &[&[&str]]| -> Vec<String> {
            parts.concat().iter().map(|&line| line.to_owned()).collect()
        };
        let (allowed, refused) = (lines(allowed), lines(refused));
        let mut faults = Vec::new();
        for (line, ended) in allowed.iter().zip(container.each(&allowed).unwrap()) {
            if ended.refused() || !ended.well() {
                faults.push(format!("does not work: {line}: {}", ended.said));
            }
        }
        for (line, ended) in refused.iter().zip(container.each(&refused).unwrap()) {
            if !ended.refused() {
                faults.push(format!("is not refused: {line}: {}", ended.said));
            }
        }
        assert!(faults.is_empty(), "{}: {faults:#?}", container.pod);
    }

    #[test]
    fn each_level_s_profile_lets_ordinary_work_be_done_and_refuses_what_leads_out() {
        let Some(node) = Node::claim("AppArmor profiles of the levels") else { return };
        node.start_runtime().unwrap();
        secrets_of_the_node();
        let first = done(&["load"]);
        for level in LEVELS {
            assert!(first.contains(&format!("bulkhead-{level}\n")), "{first}");
        }
        assert_eq!(done(&["load"]).matches("unchanged").count(), LEVELS.len());

        for (level, runtime) in [
            ("trusted", "runc"),
            ("semi-trusted", "crun"),
            ("untrusted", "runc"),
            ("untrusted", "crun"),
        ] {
            let profile = format!("bulkhead-{level}");
            let pod = format!("{level}-{runtime}");
            let container = start(&pod, runtime, &CARELESS, &profile);
            assert_eq!(label(&container), format!("{profile} (enforce)"));
            let readable: &[&str] =
                &["cat /host/var/lib/kubelet/pki/kubelet.key", "head -c 1 /proc/kallsyms"];
            match level {
                "trusted" => hold(&container, &[ORDINARY, readable], &[NOWHERE]),
                "semi-trusted" => {
                    hold(
                        &container,
                        &[ORDINARY, &["head -c 1 /proc/kallsyms"]],
                        &[NOWHERE, SECRET],
                    );
                }
                _ => hold(&container, &[ORDINARY], &[NOWHERE, SECRET, STRICT]),
            }
            // It cannot let go of itself.
            let current = "/proc/self/attr/apparmor/current";
            let let_go = format!("printf 'changeprofile unconfined' > {current}; cat {current}");
            assert!(container.sh(&let_go).unwrap().said.contains(&profile));
            let line = listed(&profile).unwrap();
            assert_eq!(line["containers"][0]["name"], format!("lab/{pod}/main"), "{line}");
            // The runtime's own signals reach it.
            container.remove().unwrap();
        }
    }

    #[test]
    fn a_profile_replaced_in_place_tightens_a_running_container_at_once() {
        let Some(node) = Node::claim("AppArmor profiles replaced in place") else { return };
        node.start_runtime().unwrap();
        let file = "/tmp/web.profile";
        let write = |rules: &str| {
            let flags = "flags=(attach_disconnected, mediate_deleted)";
            fs::write(
                file,
                format!("profile web {flags} {{\n  file,\n  signal,\n  network,\n{rules}}}\n"),
            )
            .unwrap();
        };
        write("");
        assert!(done(&["load", file]).starts_with("loaded"));
        assert!(refused(&["load", file], 1).contains("--replace"));
        let container = start("web", "runc", &[], "web");
        let reads = "echo secret > /tmp/secret; cat /tmp/secret";
        assert!(container.sh(reads).unwrap().well());

        write("  deny /tmp/secret r,\n");
        assert!(done(&["load", file, "--replace"]).starts_with("replaced"));
        assert!(container.sh("cat /tmp/secret").unwrap().refused());
        assert!(container.still_runs().unwrap());

        // Whatever goes wrong, what is in force stays in force.
        let in_force = listed("web").unwrap()["sha"].clone();
        assert!(in_force.is_string());
        write("  file\n");
        let said = refused(&["load", file, "--replace"], 64);
        assert!(said.contains("line 6") && said.contains(file), "{said}");
        assert!(refused(&["check", file], 64).contains("line 6"));
        write("");
        let said = refused(&["load", file, "--replace", "--parser", "/no/parser"], 1);
        assert!(said.contains("/no/parser") && said.contains("package `apparmor`"), "{said}");
        for flag in ["complain", "unconfined"] {
            fs::write(file, format!("profile web flags=({flag}) {{ }}\n")).unwrap();
            let said = refused(&["load", file, "--replace"], 1);
            assert!(said.contains("--loosen") && said.contains(&container.id), "{said}");
        }
        let said = refused(&["unload", "web"], 1);
        assert!(said.contains(&container.id) && said.contains("stays loaded"), "{said}");
        assert_eq!(listed("web").unwrap()["sha"], in_force);
        assert_eq!(label(&container), "web (enforce)");
        assert!(container.sh("cat /tmp/secret").unwrap().refused());

        container.remove().unwrap();
        wait_for("nobody to be held", || {
            Ok(listed("web").filter(|it| it["containers"] == serde_json::json!([])).map(drop))
        })
        .unwrap();
        assert!(done(&["unload", "web"]).contains("web"));
        assert!(listed("web").is_none());
        assert!(refused(&["unload", "web"], 1).contains("no profile web"));
    }

    fn told(home: &Home, subject: &str, words: &str) -> Option<Event> {
        let events = home.evidence().events().unwrap();
        events
            .into_iter()
            .find(|event| event.text("subject") == subject && event.text("message").contains(words))
    }

    fn await_told(home: &Home, subject: &str, words: &str) -> Event {
        wait_for(&format!("a notice with {words:?}"), || Ok(told(home, subject, words))).unwrap()
    }

    #[test]
    fn the_agent_loads_the_profiles_keeps_them_and_takes_the_operators_own() {
        let Some(node) = Node::claim("AppArmor profiles kept by the agent") else { return };
        node.start_runtime().unwrap();
        let home = Home::new("apparmor").unwrap();
        let own = home.directory().join("profiles");
        let kubelet = home.directory().join("kubelet");
        fs::create_dir_all(&own).unwrap();
        fs::create_dir_all(&kubelet).unwrap();
        let keys = format!(
            "profiles: {{ appArmorDirectory: {}, seccompDirectory: {}/seccomp }}\n",
            own.display(),
            kubelet.display()
        );
        home.write(&home.configuration(&keys)).unwrap();
        let _agent = Agent::start(&home).unwrap();
        let in_force = |name: &str| {
            let metrics = home.metrics()?;
            Ok((metrics.sum("bulkhead_apparmor_profiles", &[("profile", name)]) == 1.0)
                .then_some(()))
        };
        for level in LEVELS {
            wait_for("the profiles", || in_force(&format!("bulkhead-{level}"))).unwrap();
            assert!(kubelet.join(format!("seccomp/bulkhead/{level}.json")).exists());
        }
        await_told(&home, "apparmor", "bulkhead-untrusted");
        await_told(&home, "seccomp", "written");
        let container = start("kept", "crun", &["--privileged"], "bulkhead-untrusted");
        assert!(container.sh("head -c 1 /proc/kallsyms").unwrap().refused());

        // Somebody else puts another in its place.
        fs::write(
            "/tmp/foreign",
            "profile bulkhead-untrusted { file, capability, signal, network, }\n",
        )
        .unwrap();
        node::run(Command::new("apparmor_parser").args([
            "--replace",
            "--skip-cache",
            "/tmp/foreign",
        ]))
        .unwrap();
        let event = await_told(&home, "apparmor", "replaced by somebody; it was put back");
        assert_eq!(event.text("severity"), "high");
        assert!(container.sh("head -c 1 /proc/kallsyms").unwrap().refused());
        let drifts = [("profile", "bulkhead-untrusted")];
        assert_eq!(
            home.metrics().unwrap().sum("bulkhead_apparmor_profile_drifts_total", &drifts),
            1.0
        );

        // The operator's own text takes the level's place, under the running container.
        assert!(container.sh("echo > /tmp/door && cat /tmp/door").unwrap().well());
        let text = done(&["show", "untrusted"]);
        let (head, rest) = text.split_once("  file,\n").unwrap();
        let file = own.join("bulkhead-untrusted");
        fs::write(&file, format!("{head}  file,\n  deny /tmp/door r,\n{rest}")).unwrap();
        await_told(&home, "apparmor", "bulkhead-untrusted replaced");
        assert!(container.sh("cat /tmp/door").unwrap().refused());
        fs::write(&file, "profile bulkhead-untrusted {\n  file\n}\n").unwrap();
        let event = await_told(&home, "apparmor", "what was in force stays in force");
        assert!(event.text("message").contains("line 3"), "{event}");
        assert!(container.sh("cat /tmp/door").unwrap().refused());
        fs::write(&file, "profile other { }\n").unwrap();
        await_told(&home, "apparmor", "called bulkhead-untrusted");
        assert_eq!(label(&container), "bulkhead-untrusted (enforce)");
    }

    #[test]
    fn an_agent_without_the_parser_says_so_and_guards_all_the_same() {
        let Some(_node) = Node::claim("no AppArmor parser") else { return };
        let home = Home::new("no-parser").unwrap();
        home.write(&home.configuration("profiles: { appArmorParser: /no/parser }\n")).unwrap();
        let mut agent = Agent::start(&home).unwrap();
        let event = await_told(&home, "apparmor", "/no/parser");
        assert_eq!(event.text("severity"), "medium");
        assert!(agent.runs().unwrap());
    }
}
