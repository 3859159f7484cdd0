//! The levels' seccomp profiles in real containers: in force, refusing what they say, and letting
//! ordinary programs work, under the levels' AppArmor profiles too; and a profile learned from one of them.

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        sync::OnceLock,
        thread,
    };

    use bulkhead_benign::{PROGRAMS, UNDER_PROFILES};
    use bulkhead_e2e::{
        agent::PROGRAM,
        node::{self, Node},
        pod::{Container, Wish},
        programs,
    };
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    const DIRECTORY: &str = "/run/kubelet-seccomp";
    /// The stricter two; the loosest allows all that they do.
    const LEVELS: [&str; 2] = ["semi-trusted", "untrusted"];
    /// What `/proc/PID/status` says of a process with one filter.
    const FILTERED: [&str; 2] = ["2", "1"];

    fn prepare(node: &Node) {
        static PREPARED: OnceLock<()> = OnceLock::new();
        PREPARED.get_or_init(|| {
            node.start_runtime().unwrap();
            let install = ["profile", "install", "--directory", DIRECTORY];
            node::run(Command::new(PROGRAM).args(install)).unwrap();
            node::run(Command::new(PROGRAM).args(["apparmor", "load"])).unwrap();
        });
    }

    fn of_level(level: &str) -> String {
        format!("{DIRECTORY}/bulkhead/{level}.json")
    }

    fn start(seccomp: &str, apparmor: &str, wish: Wish<'_>) -> Container {
        let profiles = ["--seccomp", seccomp, "--apparmor", apparmor];
        let options = [&profiles[..], wish.options].concat();
        Container::start(wish.with(&options)).unwrap()
    }

    /// A container with the programs.
    fn with_programs(seccomp: &str, apparmor: &str, pod: &str) -> Container {
        let options = programs::options().unwrap();
        let options = options.each_ref().map(String::as_str);
        start(seccomp, apparmor, Wish::new("programs", pod, "runc").with(&options))
    }

    /// Containers with the programs, one of each level, under both profiles of theirs.
    fn stands(node: &Node) -> &'static [Container; 2] {
        static STANDS: OnceLock<[Container; 2]> = OnceLock::new();
        prepare(node);
        STANDS.get_or_init(|| {
            LEVELS.map(|level| {
                let apparmor = format!("bulkhead-{level}");
                let container = with_programs(&of_level(level), &apparmor, level);
                let label = format!("/proc/{}/attr/apparmor/current", container.pid);
                let label = std::fs::read_to_string(label).unwrap();
                assert_eq!(label.trim(), format!("{apparmor} (enforce)"));
                assert_eq!(in_force(container.pid), FILTERED);
                container
            })
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
                let wish = Wish::new(level, runtime, runtime);
                let container = start(&of_level(level), "unconfined", wish);
                assert_eq!(in_force(container.pid), FILTERED, "{runtime} {level}");
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

    fn line_of(name: &str) -> String {
        programs::line(PROGRAMS.iter().find(|program| program.name == name).unwrap())
    }

    /// Runs the program at both levels at once.
    fn check(name: &str) {
        let Some(node) = Node::claim(name) else { return };
        let row = UNDER_PROFILES.iter().find(|row| row.name == name).unwrap();
        let line = line_of(name);
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
    fn a_profile_learned_from_a_program_lets_it_work_and_refuses_what_it_never_did() {
        let Some(node) = Node::claim("a learned profile") else { return };
        prepare(&node);
        let model = with_programs(&of_level("semi-trusted"), "unconfined", "model");
        let learned = "/tmp/learned.json";
        let mut recorder = Command::new(PROGRAM)
            .args(["profile", "record", "--container", &model.id, "--for", "10m", "-o", learned])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(recorder.stderr.take().unwrap()).lines();
        said.find(|line| line.as_ref().unwrap().starts_with("recording ")).unwrap().unwrap();
        let work = line_of("redis");
        let ended = model.sh(&work).unwrap();
        assert!(ended.well(), "{}", ended.said);
        // Seen enough.
        kill(Pid::from_raw(recorder.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let said: Vec<String> = said.map(Result::unwrap).collect();
        assert!(recorder.wait().unwrap().success(), "{said:#?}");

        let copy = with_programs(learned, "unconfined", "copy");
        assert_eq!(in_force(copy.pid), FILTERED);
        let ended = copy.sh(&work).unwrap();
        assert!(ended.well(), "{}", ended.said);
        for never in ["mkfifo /tmp/f", "chroot / true", "strace true"] {
            assert!(model.sh(never).unwrap().well(), "{never}");
            let ended = copy.sh(never).unwrap();
            assert!(ended.refused(), "{never}: {}", ended.said);
        }
        model.remove().unwrap();
        copy.remove().unwrap();
    }

    #[test]
    fn every_program_of_the_list_is_run() {
        assert!(UNDER_PROFILES.iter().map(|row| row.name).eq(TESTED.iter().copied()));
    }
}
