//! Calls that a profile refuses and tells: the runtimes hand their listeners over, each call is refused, in a
//! line and in the log, and still is when nobody answers any more.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{BufRead, BufReader},
        path::Path,
        process::{Child, Command, Stdio},
        sync::mpsc::{Receiver, channel},
        thread,
    };

    use bulkhead_e2e::{
        agent::PROGRAM,
        cast::{TENANTS, started},
        in_force::{FILTERED, seccomp_of},
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };
    use serde_json::Value;

    const PROFILE: &str = "/run/told.json";
    const SOCKET: &str = "/run/bulkhead/seccomp.sock";
    /// Refused by name at `untrusted`, and by no capability of these containers: they have it.
    const ACT: &str = "mount -t tmpfs x /tmp";
    const CAPABLE: &[&str] = &["--seccomp", PROFILE, "--cap-add", "SYS_ADMIN"];

    /// A running `bulkhead notify`.
    struct Notify {
        child: Child,
        lines: Receiver<Value>,
    }

    impl Notify {
        fn start() -> Self {
            let mut command = Command::new(PROGRAM);
            let mut child = command.arg("notify").stdout(Stdio::piped()).spawn().unwrap();
            let out = BufReader::new(child.stdout.take().unwrap());
            let (sender, lines) = channel();
            thread::spawn(move || {
                for line in out.lines().map_while(Result::ok) {
                    if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                        return;
                    }
                }
            });
            wait_for("the socket", || Ok(Path::new(SOCKET).exists().then_some(()))).unwrap();
            Self { child, lines }
        }

        fn line(&self, call: &str) -> Value {
            wait_for(&format!("a line of {call}"), || {
                Ok(self.lines.try_iter().find(|line| line["call"] == call))
            })
            .unwrap()
        }
    }

    impl Drop for Notify {
        fn drop(&mut self) {
            self.child.kill().and_then(|()| self.child.wait()).unwrap();
        }
    }

    #[test]
    fn each_refused_call_of_a_container_is_told_and_refused_without_a_listener_too() {
        let Some(node) = Node::claim_with_bpf_lsm("deny and tell", true) else { return };
        let (home, _agent) = started(&node, "told", TENANTS).unwrap();
        let show = ["profile", "show", "untrusted", "--notify"];
        let profile = Command::new(PROGRAM).args(show).output().unwrap();
        assert!(profile.status.success(), "{profile:?}");
        fs::write(PROFILE, profile.stdout).unwrap();
        let wish = |runtime| Wish::new("team-b", runtime, runtime).with(CAPABLE);
        let early = Container::start(wish("runc"));
        assert!(early.is_err(), "it started although nobody answers for it");

        let notify = Notify::start();
        let containers = ["runc", "crun"].map(|runtime| Container::start(wish(runtime)).unwrap());
        for container in &containers {
            assert_eq!(seccomp_of(container).unwrap(), FILTERED);
            let before = home.evidence().newest().unwrap();
            let ended = container.sh(ACT).unwrap();
            assert!(ended.refused(), "{}", ended.said);
            let line = notify.line("mount");
            assert_eq!(line["container"], container.id.as_str(), "{line}");
            assert!(line["cgroup"].as_str().unwrap().contains(&container.id), "{line}");
            let event = home.evidence().await_one(before, "the refused call", |event| {
                event.text("kind") == "refused-call" && event.text("call") == "mount"
            });
            let event = event.unwrap();
            assert_eq!(event.text("tenant"), "team-b", "{event}");
            assert_eq!(event.text("profileOf"), container.id, "{event}");
            assert!(container.sh("mkfifo /tmp/f && ls / | wc -l").unwrap().well());
        }
        node::tell("deny and tell: runc and crun handed their listeners over");

        // A command that is run in such a container is handed over, too: what tries without anybody
        // listening is there already.
        let again =
            format!("( while :; do {ACT} 2> /tmp/said; sleep 0.2; done ) > /dev/null 2>&1 & true");
        for container in &containers {
            assert!(container.sh(&again).unwrap().well());
        }
        drop(notify);
        for container in &containers {
            let said = format!("/proc/{}/root/tmp/said", container.pid);
            wait_for("an answer without a listener", || {
                let said = fs::read_to_string(&said)?;
                Ok(said.contains("Function not implemented").then_some(()))
            })
            .unwrap();
        }
    }
}
