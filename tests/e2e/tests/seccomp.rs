//! Ordinary programs under the levels' seccomp and AppArmor profiles, and under a profile learned from one
//! of them.

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
        in_force::{FILTERED, apparmor_of, seccomp_of},
        node::{self, Node},
        pod::{Container, Wish},
        programs,
    };
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    const DIRECTORY: &str = "/run/kubelet-seccomp";
    /// The stricter two, each on a runtime; the loosest allows all that they do.
    const LEVELS: [(&str, &str); 2] = [("semi-trusted", "runc"), ("untrusted", "crun")];

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

    /// A container with the programs.
    fn with_programs(seccomp: &str, apparmor: &str, pod: &str, runtime: &str) -> Container {
        let options = programs::options().unwrap();
        let profiles = ["--seccomp", seccomp, "--apparmor", apparmor];
        let options = [&options.each_ref().map(String::as_str), &profiles[..]].concat();
        Container::start(Wish::new("programs", pod, runtime).with(&options)).unwrap()
    }

    /// Containers with the programs, one of each level, under both profiles of theirs.
    fn stands(node: &Node) -> &'static [Container; 2] {
        static STANDS: OnceLock<[Container; 2]> = OnceLock::new();
        prepare(node);
        STANDS.get_or_init(|| {
            LEVELS.map(|(level, runtime)| {
                let apparmor = format!("bulkhead-{level}");
                let container = with_programs(&of_level(level), &apparmor, level, runtime);
                assert_eq!(seccomp_of(&container).unwrap(), FILTERED, "{level}");
                let label = format!("{apparmor} (enforce)");
                assert_eq!(apparmor_of(&container).unwrap(), label);
                container
            })
        })
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

    bulkhead_e2e::programs! { nginx postgres redis node java python gcc }

    #[test]
    fn a_profile_learned_from_a_program_lets_it_work_and_refuses_what_it_never_did() {
        let Some(node) = Node::claim("a learned profile") else { return };
        prepare(&node);
        let model = with_programs(&of_level("semi-trusted"), "unconfined", "model", "runc");
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

        let copy = with_programs(learned, "unconfined", "copy", "runc");
        assert_eq!(seccomp_of(&copy).unwrap(), FILTERED);
        let ended = copy.sh(&work).unwrap();
        assert!(ended.well(), "{}", ended.said);
        for never in ["mkfifo /tmp/f", "chroot / true", "strace true"] {
            assert!(model.sh(never).unwrap().well(), "{never}");
            let ended = copy.sh(never).unwrap();
            // Before it traces, strace tries it on a child that waits. That is refused as well, and
            // where the child's end comes first, strace says so instead.
            let child_first = "test_ptrace_seize: unexpected wait status 0";
            let refused = ended.refused() || ended.said.contains(child_first);
            assert!(refused && !ended.well(), "{never}: {}", ended.said);
        }
        model.remove().unwrap();
        copy.remove().unwrap();
    }

    #[test]
    fn every_program_of_the_list_is_run() {
        assert!(UNDER_PROFILES.iter().map(|row| row.name).eq(TESTED.iter().copied()));
    }
}
