//! What containers may use, through the runtime and through their cgroups' files.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write,
        os::unix::net::UnixListener,
        path::{Path, PathBuf},
        process::Command,
    };

    use bulkhead_e2e::{
        agent::{Agent, Home},
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };

    const LEVEL: &str = "levels:
  - name: small
    extends: untrusted
    limits: { memory: 64Mi, memoryHigh: 48Mi, swap: 0, cpu: 200m, pids: 40, openFiles: 333, io: { writeBytes: 1Mi } }
tenants:
  - { name: team-a, level: small, namespaces: [team-a] }
  - { name: team-b, level: trusted, namespaces: [team-b] }
";

    const FULL: [(&str, &str); 5] = [
        ("memory.max", "67108864"),
        ("memory.high", "50331648"),
        ("memory.swap.max", "0"),
        ("cpu.max", "20000 100000"),
        ("pids.max", "40"),
    ];

    fn cgroup(container: &Container) -> PathBuf {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid)).unwrap();
        let path = text.trim().rsplit(':').next().unwrap();
        // Where systemd makes cgroups, crun makes one more below the container's own.
        let own = path.strip_suffix(".scope/container").map(|own| format!("{own}.scope"));
        PathBuf::from(format!("/sys/fs/cgroup{}", own.as_deref().unwrap_or(path)))
    }

    /// systemd writes its own record over the files. Where it made the cgroup, it knows the limits;
    /// where it did not, it has nothing to write.
    fn reload_systemd(container: &Container, home: &Home) {
        if !Path::new("/run/systemd/system").exists() {
            return;
        }
        let unit = cgroup(container).file_name().unwrap().to_str().unwrap().to_owned();
        let recorded = || {
            let properties =
                ["--property=TasksMax", "--property=MemoryHigh", "--property=CPUQuotaPerSecUSec"];
            let shown =
                node::run(Command::new("systemctl").args(["show", &unit]).args(properties))?;
            let shown = String::from_utf8(shown.stdout)?;
            let all = ["TasksMax=40\n", "MemoryHigh=50331648\n", "CPUQuotaPerSecUSec=200ms\n"];
            Ok(all.iter().all(|line| shown.contains(line)).then_some(()))
        };
        wait_for("systemd to know the limits", recorded).unwrap();
        let newest = home.evidence().newest().unwrap();
        node::run(Command::new("systemctl").arg("daemon-reload")).unwrap();
        assert!(is_full(container), "systemd has undone a limit");
        // Nor for a moment: the agent would have told.
        std::thread::sleep(std::time::Duration::from_secs(5));
        let told = home.evidence().after(newest).unwrap();
        let drifts: Vec<_> =
            told.iter().filter(|it| it.text("message").contains("was loosened")).collect();
        assert!(drifts.is_empty() && is_full(container), "{drifts:?}");
    }

    fn read(container: &Container, file: &str) -> String {
        fs::read_to_string(cgroup(container).join(file)).unwrap().trim().to_owned()
    }

    fn is_full(container: &Container) -> bool {
        let io = read(container, "io.max");
        FULL.iter().all(|(file, text)| read(container, file) == *text)
            && io.contains("wbps=1048576")
    }

    fn await_full(container: &Container) {
        wait_for("the limits", || Ok(is_full(container).then_some(()))).unwrap();
    }

    fn home(name: &str) -> Home {
        let home = Home::new(name).unwrap();
        home.write(&home.configuration(LEVEL)).unwrap();
        home
    }

    #[test]
    fn containers_are_made_within_their_level_adopted_and_held_to_it() {
        let Some(node) = Node::claim("limits") else { return };
        node.start_runtime().unwrap();
        let before = Container::start(Wish::new("team-a", "before", "runc")).unwrap();
        // `max`, or systemd's own limit for a unit.
        let own = read(&before, "pids.max");
        assert_ne!(own, "40");
        let home = home("limits");
        let agent = Agent::start(&home).unwrap();
        let connected = || home.metrics().unwrap().sum("bulkhead_nri_connected", &[]) > 0.5;
        wait_for("the runtime", || Ok(connected().then_some(()))).unwrap();
        await_full(&before);
        assert!(before.still_runs().unwrap());
        for runtime in ["runc", "crun"] {
            // What its first instruction finds is what the runtime was told, not what was written
            // later.
            let first = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max > /tmp/first; ulimit -n >> /tmp/first";
            let wish = Wish::new("team-a", runtime, runtime).that_begins_with(first);
            let made = Container::start(wish).unwrap();
            await_full(&made);
            let found = made.sh("cat /tmp/first").unwrap().said;
            assert_eq!(found.split_whitespace().collect::<Vec<_>>(), ["40", "67108864", "333"]);
            let bomb = made.sh("for i in $(seq 60); do sleep 5 & done; true").unwrap();
            assert!(bomb.said.contains("fork") || !bomb.well(), "{}", bomb.said);
        }
        let free = Container::start(Wish::new("team-b", "free", "runc")).unwrap();
        assert_eq!(
            (read(&free, "pids.max"), read(&free, "memory.max")),
            (own.clone(), "max".into())
        );
        // Loosened by hand.
        let newest = home.evidence().newest().unwrap();
        fs::write(cgroup(&before).join("pids.max"), "max").unwrap();
        home.evidence()
            .await_one(newest, "of the loosened limit", |event| {
                event.text("subject") == "limits"
                    && event.text("message").contains("pids.max was loosened")
            })
            .unwrap();
        assert_eq!(read(&before, "pids.max"), "40");
        reload_systemd(&before, &home);
        // A restart disturbs nobody, and what the pod had comes back when the level lets go.
        agent.kill().unwrap();
        assert!(is_full(&before) && before.still_runs().unwrap());
        let agent = Agent::start(&home).unwrap();
        home.write(&home.configuration(&LEVEL.replace("pids: 40", "pids: none"))).unwrap();
        wait_for("the limit to be lifted", || Ok((read(&before, "pids.max") == own).then_some(())))
            .unwrap();
        assert_eq!(read(&before, "memory.max"), "67108864");
        drop(agent);
    }
    const SOCKET: &str = "/var/run/nri/nri.sock";

    fn stop_runtime() {
        if Path::new("/run/systemd/system").exists() {
            node::run(Command::new("systemctl").args(["stop", "containerd.service"])).unwrap();
            return;
        }
        let pids = node::run(Command::new("pidof").arg("containerd")).unwrap().stdout;
        let pids = String::from_utf8(pids).unwrap();
        node::run(Command::new("kill").arg("-TERM").args(pids.split_whitespace())).unwrap();
        wait_for("the runtime's end", || {
            let ended = !Command::new("pidof").arg("containerd").output()?.status.success();
            Ok(ended.then_some(()))
        })
        .unwrap();
    }

    /// The notice of the runtime after `newest` that says this.
    fn await_notice(home: &Home, newest: u64, says: &str) {
        home.evidence()
            .await_one(newest, &format!("that says {says:?}"), |event| {
                event.text("subject") == "runtime" && event.text("message").contains(says)
            })
            .unwrap();
    }

    #[test]
    fn a_runtime_that_vanishes_or_sends_garbage_takes_nothing_that_is_in_force() {
        let Some(node) = Node::claim("limits without a runtime") else { return };
        // What the agent does about it is the same for every containerd: the older one is enough.
        if node::containerd().unwrap() != "1.7" {
            return;
        }
        node.start_runtime().unwrap();
        let home = home("vanished");
        let agent = Agent::start(&home).unwrap();
        let connected = || home.metrics().unwrap().sum("bulkhead_nri_connected", &[]) > 0.5;
        wait_for("the runtime", || Ok(connected().then_some(()))).unwrap();
        let held = Container::start(Wish::new("team-a", "held", "runc")).unwrap();
        await_full(&held);

        let newest = home.evidence().newest().unwrap();
        stop_runtime();
        await_notice(&home, newest, "no container runtime asks this agent");
        assert!(!connected() && is_full(&held) && held.still_runs().unwrap());

        // Whatever is at the socket now does not speak NRI.
        let newest = home.evidence().newest().unwrap();
        if let Err(error) = fs::remove_file(SOCKET) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
        let impostor = UnixListener::bind(SOCKET).unwrap();
        let (mut stream, _) = impostor.accept().unwrap();
        // A frame longer than any: connection 1, 4 GiB.
        stream.write_all(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).unwrap();
        await_notice(&home, newest, "frame of 4294967295 bytes");
        assert!(is_full(&held) && held.still_runs().unwrap());
        fs::write(cgroup(&held).join("pids.max"), "max").unwrap();
        await_full(&held);

        drop((stream, impostor));
        fs::remove_file(SOCKET).unwrap();
        node.start_runtime().unwrap();
        wait_for("the runtime to be met again", || Ok(connected().then_some(()))).unwrap();
        let made = Container::start(Wish::new("team-a", "after", "crun")).unwrap();
        await_full(&made);
        assert!(is_full(&held) && held.still_runs().unwrap());
        drop(agent);
    }
}
