use std::fs;

use super::*;

struct Stage {
    directory: tempfile::TempDir,
    container: Container,
    now: Instant,
}

impl Stage {
    fn new(files: &[(&str, &str)]) -> Self {
        let stage = Self {
            directory: tempfile::tempdir().unwrap(),
            container: Container::default(),
            now: Instant::now(),
        };
        for (name, text) in files {
            stage.set(name, text);
        }
        stage
    }

    fn set(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap().trim().to_owned()
    }

    fn look(&mut self, plan: &[(&str, &str)]) -> Looked {
        let entry = |(name, text): &(&str, &str)| {
            let file = File::named(name).unwrap();
            let setting = file.parse(text).unwrap();
            (file, setting)
        };
        let plan = plan.iter().map(entry).collect();
        let cgroup = Cgroup::new(self.directory.path().to_owned());
        self.container.look(&cgroup, &plan, None, self.now)
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

fn state(looked: &Looked, file: &str) -> State {
    looked.files.iter().find(|it| it.file == file).unwrap().state
}

#[test]
fn what_the_runtime_was_faster_to_tighten_comes_back_when_the_level_lets_go() {
    let mut stage = Stage::new(&[("pids.max", "40")]);
    let found = [(File::PidsMax, Setting::Amount(None))];
    stage.container = Container::remembering(BTreeMap::new(), found.into());
    stage.look(&[("pids.max", "40")]);
    // The agent restarts, and finds what it has kept.
    let known = mem::take(&mut stage.container.known);
    stage.container = Container::remembering(known, Plan::new());
    stage.look(&[]);
    assert_eq!(stage.get("pids.max"), "max");
}

#[test]
fn a_container_that_ran_before_is_tightened_and_told_once() {
    let mut stage = Stage::new(&[("pids.max", "max"), ("cpu.max", "max 100000")]);
    let plan = [("pids.max", "100"), ("cpu.max", "50000 100000")];
    let looked = stage.look(&plan);
    assert_eq!(looked.told.len(), 1, "{:?}", looked.told);
    assert!(looked.told[0].1.contains("pids.max held max and holds 100 now"));
    assert_eq!(
        (stage.get("pids.max"), stage.get("cpu.max")),
        ("100".into(), "50000 100000".into())
    );
    let again = stage.look(&plan);
    assert!(again.told.is_empty() && again.drifted.is_empty());
    assert_eq!(state(&again, "cpu.max"), State::Held);
}

#[test]
fn a_limit_below_what_is_used_kills_nobody_and_comes_into_force_when_less_is() {
    let mut stage =
        Stage::new(&[("memory.max", "max"), ("memory.high", "max"), ("memory.current", "900")]);
    let plan = [("memory.max", "500")];
    let looked = stage.look(&plan);
    assert_eq!((stage.get("memory.max"), stage.get("memory.high")), ("max".into(), "500".into()));
    assert_eq!(state(&looked, "memory.max"), State::Waiting);
    assert!(looked.told.iter().any(|(_, text)| text.contains("below the 900 bytes in use")));
    let waiting = stage.look(&plan);
    assert!(!waiting.told.iter().any(|(_, text)| text.contains("in use")), "told once");
    stage.set("memory.current", "400");
    let done = stage.look(&plan);
    assert_eq!((stage.get("memory.max"), stage.get("memory.high")), ("500".into(), "max".into()));
    assert_eq!(state(&done, "memory.max"), State::Held);
}

#[test]
fn what_keeps_being_undone_is_contested_and_written_less_often() {
    let mut stage = Stage::new(&[("pids.max", "max")]);
    let plan = [("pids.max", "100")];
    stage.look(&plan);
    let mut told = Vec::new();
    for _ in 0..CONTEST {
        stage.later(2);
        stage.set("pids.max", "max");
        let looked = stage.look(&plan);
        assert_eq!(looked.drifted, ["pids.max"]);
        told.extend(looked.told);
        assert_eq!(stage.get("pids.max"), "100");
    }
    assert_eq!(told.iter().filter(|(_, text)| text.contains("contested")).count(), 1, "{told:?}");
    stage.later(2);
    stage.set("pids.max", "max");
    let looked = stage.look(&plan);
    assert_eq!(state(&looked, "pids.max"), State::Contested);
    assert_eq!(stage.get("pids.max"), "max", "not every time");
    assert!(looked.told.is_empty(), "told once");
    stage.later(31);
    stage.look(&plan);
    assert_eq!(stage.get("pids.max"), "100", "but again and again");
    stage.later(300);
    assert_eq!(state(&stage.look(&plan), "pids.max"), State::Held, "it ends when nobody does it");
}

#[test]
fn a_controller_that_is_off_and_a_file_that_fails_are_told_once() {
    let mut stage = Stage::new(&[("pids.max", "garbage")]);
    let plan = [("pids.max", "100"), ("io.max", "8:0 rbps=1")];
    let looked = stage.look(&plan);
    assert_eq!(state(&looked, "io.max"), State::Unavailable);
    assert_eq!(state(&looked, "pids.max"), State::Failed);
    assert_eq!(looked.told.len(), 2, "{:?}", looked.told);
    assert!(stage.look(&plan).told.is_empty());
}

#[test]
fn a_limit_that_the_policy_drops_gives_back_what_was_there() {
    let mut stage = Stage::new(&[("pids.max", "700")]);
    stage.look(&[("pids.max", "100")]);
    assert!(stage.look(&[]).files.is_empty());
    assert_eq!(stage.get("pids.max"), "700");
    stage.set("pids.max", "900");
    stage.look(&[]);
    assert_eq!(stage.get("pids.max"), "900", "it is nobody's business any more");
}
