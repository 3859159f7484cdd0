//! The OCI runtime wrapper in front of runc and crun: what containers have, and what happens when
//! it cannot know what they should have.

#[cfg(test)]
mod tests {
    use std::{fs, process::Command, sync::OnceLock};

    use bulkhead_e2e::{
        agent::{Agent, Home, PROGRAM},
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };

    const TENANTS: &str = "tenants:
  - { name: team-a, level: untrusted, namespaces: [team-a], controls: { seccomp: optional } }
  - { name: team-b, level: semi-trusted, namespaces: [team-b] }
";
    /// Where the wrapper looks unless told otherwise.
    const LEVELS: &str = "/run/bulkhead/levels.json";
    /// The ceiling of `untrusted`: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
    /// NET_BIND_SERVICE.
    const UNTRUSTED: u64 = 0x4fb;
    /// CAP_SYS_ADMIN.
    const SYS_ADMIN: u64 = 1 << 21;
    const RUNTIMES: [(&str, &str); 2] = [("runc", "bulkhead-runc"), ("crun", "bulkhead-crun")];

    /// The agent and the wrapper, set up once for all tests. The agent ends with the guest.
    fn set_up(node: &Node) -> &'static Agent {
        static AGENT: OnceLock<Agent> = OnceLock::new();
        AGENT.get_or_init(|| {
            let mut install = Command::new(PROGRAM);
            node::run(install.args(["runtime", "install", "--from", "/share/bulkhead-runtime"]))
                .unwrap();
            node.start_runtime().unwrap();
            let home = Home::new("wrapper").unwrap();
            home.write(&home.configuration(TENANTS)).unwrap();
            let agent = Agent::start(&home).unwrap();
            // The last that the agent adds: its AppArmor profiles take a moment to be loaded.
            wait_for("the levels", || {
                let levels = fs::read_to_string(LEVELS).unwrap_or_default();
                Ok(levels.contains("bulkhead-untrusted").then_some(()))
            })
            .unwrap();
            agent
        })
    }

    /// A line of `/proc/PID/status`.
    fn status(pid: &str, field: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        line_of(&text, field)
    }

    fn line_of(text: &str, field: &str) -> String {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
    }

    fn set(text: &str) -> u64 {
        u64::from_str_radix(text, 16).unwrap()
    }

    #[test]
    fn a_privileged_container_gets_no_more_than_its_level_and_so_does_an_exec() {
        let Some(node) = Node::claim("the wrapper's container") else { return };
        set_up(&node);
        for (runtime, handler) in RUNTIMES {
            let privileged = &["--privileged", "--apparmor", "default"];
            let wish = Wish::new("team-a", runtime, handler).with(privileged);
            let container = Container::start(wish).unwrap();
            let pid = container.pid.to_string();
            for field in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
                let held = set(&status(&pid, field));
                assert_eq!(held & !UNTRUSTED, 0, "{runtime}: {field} is {held:x}");
            }
            assert_eq!(status(&pid, "NoNewPrivs"), "1", "{runtime}");
            let exec = container.sh("cat /proc/self/status").unwrap().said;
            for field in ["CapBnd", "CapPrm", "CapEff"] {
                let held = set(&line_of(&exec, field));
                assert_eq!(held & !UNTRUSTED, 0, "{runtime}: an exec's {field} is {held:x}");
            }
            assert_eq!(line_of(&exec, "NoNewPrivs"), "1", "{runtime}");
            let masked = container.sh("cat /proc/keys; echo 1 > /proc/sys/kernel/panic").unwrap();
            assert!(!masked.well(), "{runtime}: {}", masked.said);
            // What it holds is its AppArmor profile's business too: the mount is the mask's alone.
            let mounts = container.sh("grep -c ' /proc/keys ' /proc/self/mountinfo").unwrap().said;
            assert_eq!(mounts.trim(), "1", "{runtime}: /proc/keys is not masked");
            container.remove().unwrap();
        }
    }

    #[test]
    fn a_container_without_a_seccomp_profile_gets_its_level_s() {
        let Some(node) = Node::claim("the wrapper's seccomp") else { return };
        set_up(&node);
        for (runtime, handler) in RUNTIMES {
            let wish = Wish::new("team-b", runtime, handler).with(&["--seccomp", "unconfined"]);
            let container = Container::start(wish).unwrap();
            assert_eq!(status(&container.pid.to_string(), "Seccomp"), "2", "{runtime}");
            let exec = container.sh("grep Seccomp: /proc/self/status").unwrap();
            assert!(exec.said.contains('2'), "{runtime}: {}", exec.said);
            container.remove().unwrap();
        }
    }

    #[test]
    fn an_unconfined_container_gets_its_level_s_apparmor_profile_and_so_does_an_exec() {
        let Some(node) = Node::claim("the wrapper's AppArmor profile") else { return };
        set_up(&node);
        for (runtime, handler) in RUNTIMES {
            for (namespace, given, expected) in [
                ("team-a", "unconfined", "bulkhead-untrusted (enforce)"),
                ("team-b", "default", "cri-containerd.apparmor.d (enforce)"),
            ] {
                let options = &["--apparmor", given];
                let wish = Wish::new(namespace, runtime, handler).with(options);
                let container = Container::start(wish).unwrap();
                let label = container
                    .sh("cat /proc/1/attr/apparmor/current /proc/self/attr/apparmor/current");
                let said = label.unwrap().said;
                assert_eq!(said.lines().collect::<Vec<_>>(), [expected, expected], "{runtime}");
                container.remove().unwrap();
            }
        }
    }

    #[test]
    fn a_namespace_that_nobody_claims_keeps_what_it_was_given() {
        let Some(node) = Node::claim("nobody's container behind the wrapper") else { return };
        set_up(&node);
        for (runtime, handler) in RUNTIMES {
            let wish = Wish::new("lab", runtime, handler).with(&["--privileged"]);
            let container = Container::start(wish).unwrap();
            let held = set(&status(&container.pid.to_string(), "CapEff"));
            assert_ne!(held & SYS_ADMIN, 0, "{runtime}: {held:x}");
            container.remove().unwrap();
        }
    }

    #[test]
    fn without_its_levels_a_tenant_is_refused_and_the_platform_and_deleting_are_not() {
        let Some(node) = Node::claim("broken levels") else { return };
        set_up(&node);
        for (runtime, handler) in RUNTIMES {
            let before = Container::start(Wish::new("team-a", "before", handler)).unwrap();
            let whole = fs::read(LEVELS).unwrap();
            for broken in [Some(&b"{\"format\":1,"[..]), None] {
                match broken {
                    Some(text) => fs::write(LEVELS, text).unwrap(),
                    None => fs::remove_file(LEVELS).unwrap(),
                }
                let refused = Container::start(Wish::new("team-a", "refused", handler));
                let told = format!("{:#}", refused.unwrap_err());
                assert!(told.contains("bulkhead: the container of namespace team-a"), "{told}");
                assert!(told.contains(LEVELS), "{runtime}: {told}");
                let system = Container::start(Wish::new("kube-system", "system", handler));
                system.unwrap().remove().unwrap();
            }
            let exec = before.sh("cat /proc/self/status").unwrap().said;
            assert_eq!(set(&line_of(&exec, "CapEff")) & !UNTRUSTED, 0, "{runtime}");
            before.remove().unwrap();
            fs::write(LEVELS, whole).unwrap();
        }
    }
}
