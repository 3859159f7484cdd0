//! Devices: what the runtime granted opens, and what it did not is refused, whatever has become of the
//! runtime's own device program.

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command};

    use bulkhead_e2e::{
        agent::{Agent, Home, PROGRAM},
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };
    use serde_json::Value;

    const TENANTS: &str = "tenants:
  - { name: team-a, level: semi-trusted, namespaces: [team-a] }
  - { name: team-b, level: trusted, namespaces: [team-b] }
";

    /// Character devices without a driver, which the kernel's list keeps for experiments: to open one
    /// that is granted fails as there is nothing behind it.
    const GRANTED: &str = "/dev/granted";
    const NOTHING_BEHIND: &str = "No such device or address";

    /// Removes every device program but the agent's, which is at the root: the runtime's, and systemd's
    /// where that made the cgroup around it.
    fn loosen(container: &Container) {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid)).unwrap();
        let cgroup = Path::new(text.trim().rsplit(':').next().unwrap());
        let detached = cgroup.ancestors().filter(|it| it.parent().is_some()).map(detach);
        assert!(detached.sum::<usize>() > 0, "the runtime has attached no device program");
    }

    /// Removes the device programs of one cgroup.
    fn detach(cgroup: &Path) -> usize {
        let cgroup = format!("/sys/fs/cgroup{}", cgroup.display());
        let listed = node::run(Command::new("bpftool").args(["-j", "cgroup", "list", &cgroup]));
        let listed: Value = serde_json::from_slice(&listed.unwrap().stdout).unwrap_or_default();
        let programs = listed.as_array().cloned().unwrap_or_default();
        let kinds = programs.iter().map(|program| program["attach_type"].as_str().unwrap());
        let mut detached = 0;
        for (program, kind) in
            programs.iter().zip(kinds).filter(|(_, kind)| kind.contains("device"))
        {
            let id = program["id"].to_string();
            let arguments = ["cgroup", "detach", &cgroup, kind, "id", &id];
            node::run(Command::new("bpftool").args(arguments)).unwrap();
            detached += 1;
        }
        detached
    }

    /// Puts a device node into the container from outside, so that no other rule is met.
    fn place(container: &Container, name: &str, minor: &str) {
        let path = format!("/proc/{}/root/{name}", container.pid);
        node::run(Command::new("mknod").args([&path, "c", "60", minor])).unwrap();
    }

    fn opening(container: &Container, path: &str) -> String {
        container.sh(&format!("head -c 1 {path}")).unwrap().said
    }

    fn is_refused(said: &str) -> bool {
        said.contains("Operation not permitted")
    }

    fn devices_of(container: &Container) -> String {
        let mut command = Command::new(PROGRAM);
        let shown = node::run(command.args(["container", &container.id, "--json"])).unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        let controls = shown["controls"].as_array().unwrap();
        let found = controls.iter().find(|it| it["control"] == "devices");
        found.map_or_else(String::new, |it| format!("{}: {}", it["state"], it["effective"]))
    }

    #[test]
    fn what_was_not_granted_stays_shut_when_the_runtime_s_own_program_is_gone() {
        let Some(node) = Node::claim("devices") else { return };
        node.start_runtime().unwrap();
        node::run(Command::new("mknod").args([GRANTED, "c", "60", "1"])).unwrap();
        let options = ["--device", GRANTED];
        let start = |namespace, pod, runtime| {
            let container = Container::start(Wish::new(namespace, pod, runtime).with(&options));
            let container = container.unwrap();
            place(&container, "stranger", "0");
            container
        };
        let mut held = vec![start("team-a", "adopted", "runc")];
        let home = Home::new("devices").unwrap();
        home.write(&home.configuration(TENANTS)).unwrap();
        let agent = Agent::start(&home).unwrap();
        held.extend(["runc", "crun"].map(|runtime| start("team-a", runtime, runtime)));
        let free = start("team-b", "free", "runc");
        let mighty = Wish::new("team-a", "mighty", "crun").with(&["--privileged"]);
        let mighty = Container::start(mighty).unwrap();
        place(&mighty, "stranger", "0");

        // Beside the runtime's own program.
        for container in &held {
            wait_for("the control", || {
                Ok(devices_of(container).contains("in-force").then_some(()))
            })
            .unwrap();
        }
        let newest = home.evidence().newest().unwrap();
        assert!(is_refused(&opening(&held[0], "/stranger")));
        home.evidence()
            .await_one(newest, "of a device that was not granted", |event| {
                event.text("rule") == "BH-DEV-001"
                    && event.text("actor.container.id") == held[0].id
                    && event.text("effect") == "denied"
            })
            .unwrap();
        // Without it: by the runtime alone, everything opens.
        held.iter().chain([&free]).for_each(loosen);
        for container in &held {
            let said = opening(container, "/stranger");
            assert!(is_refused(&said), "{}: {said}", container.pod);
            let said = opening(container, GRANTED);
            assert!(said.contains(NOTHING_BEHIND), "{}: {said}", container.pod);
            let said = container.sh("head -c 1 /dev/zero > /dev/null && echo well").unwrap().said;
            assert!(said.contains("well"), "{}: {said}", container.pod);
            // Nothing has opened, and yet one of two hands is gone: its level is told so.
            let devices = wait_for("the control", || {
                let devices = devices_of(container);
                Ok(devices.contains("drift").then_some(devices))
            });
            let devices = devices.unwrap();
            assert!(devices.contains("1 granted") && devices.contains("is gone"), "{devices}");
        }
        // The level of this one asks for no refusal; what that one may, its runtime has said.
        for container in [&free, &mighty] {
            let said = opening(container, "/stranger");
            assert!(said.contains(NOTHING_BEHIND), "{}: {said}", container.pod);
        }
        wait_for("what the privileged one was granted", || {
            Ok(devices_of(&mighty).contains("all granted").then_some(()))
        })
        .unwrap();
        // And without the agent.
        agent.kill().unwrap();
        assert!(is_refused(&opening(&held[1], "/stranger")));
    }
}
