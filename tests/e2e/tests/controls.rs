//! What is in force in each container is looked at, and what is missing is told with what brings it
//! back.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        process::Command,
        time::{Duration, Instant},
    };

    use bulkhead_e2e::{
        agent::{Agent, Home, PROGRAM},
        evidence::Event,
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };
    use serde_json::Value;

    /// A container that is loosened is told in this time.
    const SEEN_WITHIN: Duration = Duration::from_secs(5);

    const TENANTS: &str = "levels:
  - name: checked
    extends: trusted
    controls: { appArmor: required, maskedPaths: required, ownNamespaces: required }
  - name: evicting
    extends: trusted
    controls: { appArmor: required, onDrift: evict }
tenants:
  - { name: team-c, level: evicting, namespaces: [team-c] }
  - { name: team-a, level: untrusted, namespaces: [team-a] }
  - { name: team-b, level: checked, namespaces: [team-b] }
";

    /// The runtime's own profile, as loose or as strict as the flags say.
    fn load_profile(flags: &str) {
        let profile = format!(
            "#include <tunables/global>\nprofile cri-containerd.apparmor.d \
             flags=(attach_disconnected,mediate_deleted{flags}) {{\n  network,\n  capability,\n  \
             file,\n  umount,\n  signal,\n  ptrace,\n}}\n"
        );
        let path = "/tmp/profile";
        fs::write(path, profile).unwrap();
        node::run(Command::new("apparmor_parser").args(["--replace", "--skip-cache", path]))
            .unwrap();
    }

    fn shown(arguments: &[&str]) -> Value {
        let output = node::run(Command::new(PROGRAM).args(arguments).arg("--json")).unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn state(container: &Container, control: &str) -> String {
        let view = shown(&["container", &container.id]);
        let controls = view["controls"].as_array().unwrap();
        let found = controls.iter().find(|it| it["control"] == control);
        found.map_or_else(|| "unknown".to_owned(), |it| it["state"].as_str().unwrap().to_owned())
    }

    fn await_state(container: &Container, control: &str, wanted: &str) {
        wait_for(&format!("{control} to be {wanted}"), || {
            Ok((state(container, control) == wanted).then_some(()))
        })
        .unwrap();
    }

    /// The events about a control of a container.
    fn told(home: &Home, container: &Container, control: &str) -> Vec<Event> {
        let mut events = home.evidence().events().unwrap();
        events.retain(|event| {
            event.text("kind") == "control"
                && event.text("control") == control
                && event.text("container.id") == container.id
        });
        events
    }

    /// Does it, and returns how long it took to be told, with the event.
    fn seen(
        home: &Home,
        container: &Container,
        control: &str,
        act: impl Fn(),
    ) -> (Duration, Event) {
        let before = told(home, container, control).len();
        let begun = Instant::now();
        act();
        let event = wait_for(&format!("an event about {control}"), || {
            Ok(told(home, container, control).into_iter().nth(before))
        });
        (begun.elapsed(), event.unwrap())
    }

    #[test]
    fn what_a_container_lacks_is_told_and_a_loosened_one_is_seen_within_five_seconds() {
        let Some(node) = Node::claim("what is in force in containers") else { return };
        node.start_runtime().unwrap();
        let home = Home::new("controls").unwrap();
        home.write(&home.configuration(TENANTS)).unwrap();
        let _agent = Agent::start(&home).unwrap();
        let options = &["--privileged", "--host-pid"];
        let mighty = Container::start(Wish::new("team-a", "mighty", "crun").with(options)).unwrap();
        let plain = Container::start(Wish::new("team-b", "plain", "runc")).unwrap();

        for control in ["seccomp", "apparmor", "no_new_privileges", "masked_paths"] {
            await_state(&mighty, control, "drift");
        }
        await_state(&mighty, "capabilities", "guarded");
        let event = told(&home, &mighty, "seccomp").remove(0);
        assert_eq!(event.text("tenant"), "team-a");
        assert!(event.text("remedy").starts_with("restart needed"), "{event}");

        for control in ["apparmor", "masked_paths", "own_namespaces"] {
            await_state(&plain, control, "in-force");
            assert!(told(&home, &plain, control).is_empty(), "{control} was never missing");
        }
        let (took, event) = seen(&home, &plain, "apparmor", || load_profile(",complain"));
        assert_eq!(event.text("state"), "drift");
        node::tell(&format!("a profile that complains: seen after {took:.1?}"));
        assert!(took <= SEEN_WITHIN, "seen after {took:?}");
        let (_, event) = seen(&home, &plain, "apparmor", || load_profile(""));
        assert_eq!(event.text("state"), "in-force");

        let pid = plain.pid.to_string();
        let (took, event) = seen(&home, &plain, "masked_paths", || {
            let enter = ["--target", &pid, "--mount", "/bin/busybox", "umount", "/proc/kcore"];
            node::run(Command::new("nsenter").args(enter)).unwrap();
        });
        assert!(event.text("effective").contains("/proc/kcore"), "{event}");
        node::tell(&format!("a mask that is gone: seen after {took:.1?}"));
        assert!(took <= SEEN_WITHIN, "seen after {took:?}");

        let drift = [("tenant", "team-b"), ("control", "masked_paths")];
        wait_for("the metric", || {
            Ok((home.metrics()?.sum("bulkhead_drift", &drift) == 1.0).then_some(()))
        })
        .unwrap();
        // A level that ends what lacks a control: the loose container, and not its neighbour.
        let held = Container::start(Wish::new("team-c", "held", "runc")).unwrap();
        let loose = Wish::new("team-c", "loose", "runc").with(&["--privileged"]);
        let loose = Container::start(loose).unwrap();
        wait_for("the loose container to be ended", || {
            Ok((!fs::exists(format!("/proc/{}/exe", loose.pid))?).then_some(()))
        })
        .unwrap();
        let evicted = |events: &[Event]| -> Vec<String> {
            let these = events.iter().filter(|event| event.text("subject") == "evicted");
            these.map(|event| event.text("message").to_owned()).collect()
        };
        let told = evicted(&home.evidence().events().unwrap());
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&loose.id) && told[0].contains("apparmor"), "{told:?}");
        assert!(held.sh("true").unwrap().well());

        // An act that no rule but the ceiling's is about.
        let ended = mighty.sh("hostname other").unwrap();
        assert!(ended.refused(), "{}", ended.said);
        wait_for("the capability that was asked for", || {
            let view = shown(&["container", &mighty.id]);
            let asked = view["capabilitiesAsked"].as_array().unwrap().clone();
            Ok(asked.iter().any(|it| it == "CAP_SYS_ADMIN").then_some(()))
        })
        .unwrap();
    }
}
