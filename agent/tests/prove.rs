//! `bulkhead prove` on the kernel of this machine, without a guard: every act is harmless, and
//! nothing stays behind.
//!
//! Needs root and a cgroup v2 mount; says so where one is missing.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::PathBuf,
        process::{Command, Output, Stdio},
        sync::{Mutex, MutexGuard, PoisonError},
        thread,
        time::{Duration, Instant},
    };

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    use serde_json::Value;

    /// One run at a time: each test looks at the whole machine for what a run left behind.
    static STAGE: Mutex<()> = Mutex::new(());

    fn stage() -> Option<MutexGuard<'static, ()>> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: not root");
            return None;
        }
        if cgroup2().is_none() {
            eprintln!("skipped: no cgroup v2 hierarchy is mounted");
            return None;
        }
        Some(STAGE.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn cgroup2() -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
        line.split(' ').nth(1).map(PathBuf::from)
    }

    fn bulkhead(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(arguments: &[&str]) -> Output {
        bulkhead(arguments).output().unwrap()
    }

    fn document(output: &Output) -> Value {
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// What a run could leave behind.
    #[derive(Debug, PartialEq, Eq)]
    struct Traces {
        cgroups: Vec<String>,
        scratch: Vec<String>,
        mounts: String,
        hierarchies: usize,
        modules: Option<String>,
        hostname: String,
        loops: usize,
    }

    fn traces() -> Traces {
        let ours = |directory: PathBuf| -> Vec<String> {
            fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .filter(|name| name.starts_with("bulkhead-prove"))
                .collect()
        };
        let nodes = fs::read_dir("/dev").unwrap();
        Traces {
            cgroups: ours(cgroup2().unwrap()),
            scratch: ours(std::env::temp_dir()),
            mounts: fs::read_to_string("/proc/self/mounts").unwrap(),
            hierarchies: fs::read_to_string("/proc/self/cgroup").unwrap().lines().count(),
            modules: fs::read_to_string("/proc/modules").ok().map(|modules| {
                modules.lines().filter_map(|line| line.split(' ').next()).collect::<String>()
            }),
            hostname: fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
            loops: nodes.filter_map(Result::ok).count(),
        }
    }

    #[test]
    fn every_act_is_harmless_and_leaves_nothing_behind() {
        let Some(_stage) = stage() else { return };
        let before = traces();
        let output = run(&["prove", "--unguarded", "--json"]);
        assert_eq!(traces(), before);
        let document = document(&output);
        let trials = document["levels"][0]["trials"].as_array().unwrap();
        assert!(trials.len() > 100, "{}", trials.len());
        for trial in trials {
            let outcome = trial["outcome"].as_str().unwrap();
            let fine = ["allowed", "unavailable", "refused-elsewhere"].contains(&outcome);
            assert!(fine, "{trial:#}");
            assert!(outcome == "allowed" || trial["detail"].is_string(), "no reason: {trial:#}");
        }
        assert_eq!(output.status.code(), Some(0));
    }

    #[test]
    fn a_child_that_is_late_is_ended_and_told() {
        let Some(_stage) = stage() else { return };
        let before = traces();
        let output =
            run(&["prove", "--unguarded", "--json", "--only", "mount-tmpfs", "--patience", "0"]);
        assert_eq!(traces(), before);
        let document = document(&output);
        assert_eq!(document["levels"][0]["trials"][0]["outcome"], "broken");
        assert_eq!(output.status.code(), Some(2));
    }

    #[test]
    fn a_run_that_is_told_to_stop_clears_the_stage() {
        let Some(_stage) = stage() else { return };
        let before = traces();
        let child = bulkhead(&["prove", "--unguarded"]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while traces().cgroups.is_empty() {
            assert!(Instant::now() < deadline, "the stage was never set");
            thread::sleep(Duration::from_millis(1));
        }
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "it ended before it was told to");
        assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
        assert_eq!(traces(), before);
    }

    #[test]
    fn an_unknown_behaviour_is_named() {
        let output = run(&["prove", "--unguarded", "--only", "no-such-thing"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-thing"));
    }

    #[test]
    fn the_list_has_every_family() {
        let output = run(&["prove", "--list"]);
        let list = String::from_utf8(output.stdout).unwrap();
        for rule in
            ["BH-MNT", "BH-NS", "BH-PROC", "BH-BPF", "BH-PERF", "BH-FILE", "BH-NET", "BH-CAP"]
        {
            assert!(list.contains(rule), "{rule} is missing in {list}");
        }
        assert!(list.lines().count() >= 24);
    }
}
