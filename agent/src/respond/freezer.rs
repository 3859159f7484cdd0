//! What cgroup v2 does with all processes of a container at once: it freezes them, or kills them.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{OFlag, openat},
    sys::stat::Mode,
};

use crate::workloads::{Listed, Workloads};

/// The control file.
pub(super) const CONTROL: &str = "cgroup.freeze";

/// The one that ends everything.
pub(super) const KILL: &str = "cgroup.kill";

/// Where a container stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs.
    Running,
    /// It was told to stand still, and some process does not yet.
    Freezing,
    /// Every process stands still.
    Frozen,
    /// Its control file cannot be read: it is gone, or was never to be frozen.
    Unknown,
}

impl State {
    /// Whether it was told to stand still.
    pub(crate) fn is_asked(self) -> bool {
        matches!(self, Self::Freezing | Self::Frozen)
    }

    /// The word for a person.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Freezing => "freezing",
            Self::Frozen => "frozen",
            Self::Unknown => "unknown",
        }
    }
}

/// A container's own directory.
pub(super) fn directory(listed: &Listed<'_>, workloads: &Workloads) -> PathBuf {
    workloads.tree().full_path(Path::new(listed.path))
}

/// Tells the container to stand still, or to go on.
pub(super) fn write(directory: &Path, cgroup: u64, freeze: bool) -> io::Result<()> {
    tell(directory, cgroup, CONTROL, if freeze { "1" } else { "0" })
}

/// Kills every process of the container and of its nested cgroups, at once.
pub(super) fn kill(directory: &Path, cgroup: u64) -> io::Result<()> {
    tell(directory, cgroup, KILL, "1")
}

/// The id makes sure that it is still the container that is meant: another may have got its path
/// meanwhile.
fn tell(directory: &Path, cgroup: u64, control: &str, value: &str) -> io::Result<()> {
    let opened = File::open(directory)?;
    if opened.metadata()?.ino() != cgroup {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the container is gone"));
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let control = openat(&opened, control, flags, Mode::empty())?;
    File::from(control).write_all(value.as_bytes())
}

/// Where the container stands.
pub(super) fn state(directory: &Path) -> State {
    let read = |name: &str| fs::read_to_string(directory.join(name));
    match (read(CONTROL), read("cgroup.events")) {
        (Ok(asked), Ok(events)) => match (asked.trim(), is_still(&events)) {
            ("1", true) => State::Frozen,
            ("1", false) => State::Freezing,
            _ => State::Running,
        },
        _ => State::Unknown,
    }
}

/// Waits until every process stands still. Whether that came about.
pub(super) async fn await_still(directory: &Path, patience: Duration) -> bool {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(200);
    while state(directory) != State::Frozen {
        if begun.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

fn is_still(events: &str) -> bool {
    events.lines().any(|line| line == "frozen 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with the files that the kernel would give.
    fn cgroup(asked: &str, events: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(CONTROL), asked).unwrap();
        fs::write(directory.path().join("cgroup.events"), events).unwrap();
        directory
    }

    #[test]
    fn the_state_is_what_the_kernel_says() {
        let state_of = |asked, events| state(cgroup(asked, events).path());
        assert_eq!(state_of("0\n", "populated 1\nfrozen 0\n"), State::Running);
        assert_eq!(state_of("1\n", "populated 1\nfrozen 0\n"), State::Freezing);
        assert_eq!(state_of("1\n", "populated 1\nfrozen 1\n"), State::Frozen);
        // Its parent is frozen, and it was not asked to.
        assert_eq!(state_of("0\n", "populated 1\nfrozen 1\n"), State::Running);
        assert_eq!(state(Path::new("/nonexistent")), State::Unknown);
    }

    #[test]
    fn a_container_that_got_the_path_of_another_is_not_frozen_for_it() {
        let directory = cgroup("0", "");
        let id = fs::metadata(directory.path()).unwrap().ino();
        let error = write(directory.path(), id + 1, true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read(directory.path().join(CONTROL)).unwrap(), b"0");
        write(directory.path(), id, true).unwrap();
        assert_eq!(fs::read(directory.path().join(CONTROL)).unwrap(), b"1");
    }
}
