//! The levels' seccomp and AppArmor profiles in real containers of both runtimes: in force in the container's
//! own `/proc`, and refusing what they say.

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bulkhead_e2e::{
        agent::PROGRAM,
        in_force::{FILTERED, apparmor_of, seccomp_of},
        node::{self, Node},
        pod::{Container, Wish},
    };

    const DIRECTORY: &str = "/run/kubelet-seccomp";

    /// From what the loosest seccomp profile refuses to what only the strictest does.
    const LINES: [&str; 5] = [
        "unshare -U true",
        "mount -t tmpfs x /tmp",
        "mknod /tmp/x c 1 3",
        "chroot / true",
        "ping -c1 127.0.0.1",
    ];
    /// The levels, and how many of the lines each refuses.
    const LEVELS: [(&str, usize); 3] = [("trusted", 2), ("semi-trusted", 3), ("untrusted", 5)];

    fn bulkhead(arguments: &[&str]) {
        node::run(Command::new(PROGRAM).args(arguments)).unwrap();
    }

    #[test]
    fn each_level_s_profiles_are_in_force_and_refuse_what_they_say() {
        let Some(node) = Node::claim("the levels' profiles") else { return };
        node.start_runtime().unwrap();
        bulkhead(&["profile", "install", "--directory", DIRECTORY]);
        bulkhead(&["apparmor", "load"]);
        let lines = LINES.map(str::to_owned);
        for runtime in ["runc", "crun"] {
            for (level, refused) in LEVELS {
                let seccomp = format!("{DIRECTORY}/bulkhead/{level}.json");
                let apparmor = format!("bulkhead-{level}");
                let options = ["--seccomp", &seccomp, "--apparmor", &apparmor];
                let wish = Wish::new(level, runtime, runtime).with(&options);
                let container = Container::start(wish).unwrap();
                let place = format!("{level} on {runtime}");
                assert_eq!(seccomp_of(&container).unwrap(), FILTERED, "{place}");
                let label = apparmor_of(&container).unwrap();
                assert_eq!(label, format!("{apparmor} (enforce)"), "{place}");
                let ended = container.each(&lines).unwrap();
                for (number, (line, ended)) in lines.iter().zip(&ended).enumerate() {
                    assert_eq!(!ended.well(), number < refused, "{place}, {line}: {ended:?}");
                }
                assert!(container.sh("mkfifo /tmp/f && ls / | wc -l").unwrap().well());
                container.remove().unwrap();
            }
        }
    }
}
