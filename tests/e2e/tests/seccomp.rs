//! The levels' seccomp profiles in real containers: in force, refusing what they say, and letting
//! ordinary programs work.

#[cfg(test)]
mod tests {
    use std::{process::Command, sync::OnceLock, thread};

    use bulkhead_benign::{PROGRAMS, UNDER_SECCOMP};
    use bulkhead_e2e::{
        agent::PROGRAM,
        node::{self, Node},
        pod::{Container, Wish},
        programs,
    };

    const DIRECTORY: &str = "/run/kubelet-seccomp";
    /// The stricter two; the loosest allows all that they do.
    const LEVELS: [&str; 2] = ["semi-trusted", "untrusted"];

    fn prepare(node: &Node) {
        static PREPARED: OnceLock<()> = OnceLock::new();
        PREPARED.get_or_init(|| {
            node.start_runtime().unwrap();
            let install = ["profile", "install", "--directory", DIRECTORY];
            node::run(Command::new(PROGRAM).args(install)).unwrap();
        });
    }

    fn start(level: &str, pod: &str, runtime: &str, more: &[&str]) -> Container {
        let profile = format!("{DIRECTORY}/bulkhead/{level}.json");
        let ours = ["--seccomp", &profile, "--apparmor", "unconfined"];
        let options = [&ours[..], more].concat();
        Container::start(Wish::new(level, pod, runtime).with(&options)).unwrap()
    }

    /// Containers with the programs, one of each level.
    fn stands(node: &Node) -> &'static [Container; 2] {
        static STANDS: OnceLock<[Container; 2]> = OnceLock::new();
        prepare(node);
        STANDS.get_or_init(|| {
            let options = programs::options().unwrap();
            let options = options.each_ref().map(String::as_str);
            LEVELS.map(|level| start(level, "programs", "runc", &options))
        })
    }

    /// Seccomp mode and number of filters of a process, as the kernel has them.
    fn in_force(pid: u32) -> [String; 2] {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        ["Seccomp:", "Seccomp_filters:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().to_owned()
        })
    }

    #[test]
    fn each_level_s_profile_is_in_force_and_refuses_what_it_says() {
        let Some(node) = Node::claim("seccomp profiles") else { return };
        prepare(&node);
        // From what the loosest refuses to what only the strictest does.
        let lines = [
            "unshare -U true",
            "mount -t tmpfs x /tmp",
            "mknod /tmp/x c 1 3",
            "chroot / true",
            "ping -c1 127.0.0.1",
        ]
        .map(str::to_owned);
        for runtime in ["runc", "crun"] {
            for (level, refused) in [("trusted", 2), ("semi-trusted", 3), ("untrusted", 5)] {
                let container = start(level, runtime, runtime, &[]);
                assert_eq!(in_force(container.pid), ["2", "1"], "{runtime} {level}");
                let ended = container.each(&lines).unwrap();
                for (number, (line, ended)) in lines.iter().zip(&ended).enumerate() {
                    assert_eq!(
                        !ended.well(),
                        number < refused,
                        "{runtime} {level} {line}: {ended:?}"
                    );
                }
                assert!(container.sh("mkfifo /tmp/f && ls / | wc -l").unwrap().well());
                container.remove().unwrap();
            }
        }
    }

    /// Runs the program under both profiles at once.
    fn check(name: &str) {
        let Some(node) = Node::claim(name) else { return };
        let row = UNDER_SECCOMP.iter().find(|row| row.name == name).unwrap();
        let program = PROGRAMS.iter().find(|program| program.name == name).unwrap();
        let line = programs::line(program);
        let [semi, strict] = thread::scope(|scope| {
            let run = |container: &'static Container| {
                let line = line.as_str();
                scope.spawn(move || container.sh(line).unwrap())
            };
            let [semi, strict] = stands(&node);
            [run(semi), run(strict)].map(|thread| thread.join().unwrap())
        });
        assert!(semi.well(), "{name} under semi-trusted: {}", semi.said);
        let expected = row.not_at_untrusted.is_none();
        assert_eq!(strict.well(), expected, "{name} under untrusted: {}", strict.said);
    }

    /// A test of its own for each program, so that each is told by its name.
    macro_rules! programs {
        ($($name:ident)+) => {
            const TESTED: &[&str] = &[$(stringify!($name)),+];
            $(
                #[test]
                fn $name() {
                    check(stringify!($name));
                }
            )+
        };
    }

    programs! { nginx postgres redis node java python gcc }

    #[test]
    fn every_program_of_the_list_is_run() {
        assert!(UNDER_SECCOMP.iter().map(|row| row.name).eq(TESTED.iter().copied()));
    }
}
