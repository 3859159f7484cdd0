//! What an act is given and what it gives back: JSON lines on standard output.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use nix::{
    errno::Errno,
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// What the target keeps in the memory that others may try to read.
pub(crate) const KEPSAKE: [u8; 16] = *b"bulkhead-prove-\n";

/// What an actor is told: where its props are and whom to act on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scene {
    /// A tmpfs of the actor's own.
    pub(crate) scratch: PathBuf,
    /// A directory that the guard takes for the agent's; empty where the act needs none.
    #[serde(default)]
    pub(crate) agents: PathBuf,
    /// The process to act on, where the behaviour has one.
    pub(crate) target: Option<TargetProcess>,
}

/// A process that `prove` started to be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TargetProcess {
    pub(crate) pid: i32,
    /// Address of its [`KEPSAKE`].
    pub(crate) buffer: u64,
    /// A System V shared memory segment that it made.
    pub(crate) memory: i32,
    /// A key that it made, if this kernel keeps keys.
    pub(crate) key: Option<i32>,
}

/// One line from a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(crate) enum Line {
    /// The target stands ready.
    Ready { target: TargetProcess },
    /// The act begins; nanoseconds since boot.
    Before { time: u64 },
    /// The act is over; `errno` is 0 when it went through.
    After { time: u64, errno: i32 },
    /// The act cannot be tried here.
    Unavailable { reason: String },
}

/// The proof that an act reported: only [`Actor`] makes one.
#[must_use]
pub(crate) struct Report(Line);

/// One act's view of its surroundings.
pub(crate) struct Actor {
    scene: Scene,
}

impl Report {
    /// The line that tells it.
    pub(crate) fn into_line(self) -> Line {
        self.0
    }
}

impl Actor {
    /// An actor in this scene.
    pub(crate) fn in_scene(scene: Scene) -> Self {
        Self { scene }
    }

    /// A path in the scratch directory.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.scene.scratch.join(name)
    }

    /// A path in the directory that counts as the agent's.
    pub(crate) fn of_agent(&self, name: &str) -> PathBuf {
        self.scene.agents.join(name)
    }

    /// The process to act on.
    pub(crate) fn target(&self) -> Result<TargetProcess, Report> {
        self.scene.target.ok_or_else(|| self.unavailable("no process to act on was given"))
    }

    /// The pid of the process to act on.
    pub(crate) fn target_pid(&self) -> Result<Pid, Report> {
        self.target().map(|target| Pid::from_raw(target.pid))
    }

    /// Does the act and takes its times. What it returns is dropped after the second one.
    pub(crate) fn attempt<T>(&self, act: impl FnOnce() -> nix::Result<T>) -> Report {
        let before = match now() {
            Ok(time) => time,
            Err(errno) => return self.unavailable(&format!("no boot clock: {errno}")),
        };
        if let Err(error) = say(&Line::Before { time: before }) {
            return self.unavailable(&format!("cannot report: {error:#}"));
        }
        let result = act();
        match now() {
            Ok(time) => {
                Report(Line::After { time, errno: result.err().map_or(0, |errno| errno as i32) })
            }
            Err(errno) => self.unavailable(&format!("no boot clock: {errno}")),
        }
    }

    /// Says why the act cannot be tried here.
    pub(crate) fn unavailable(&self, reason: &str) -> Report {
        Report(Line::Unavailable { reason: reason.to_owned() })
    }

    /// As [`Self::unavailable`], for a preparation that failed.
    pub(crate) fn unprepared(&self, what: &str, errno: Errno) -> Report {
        self.unavailable(&format!("{what}: {}", errno.desc()))
    }
}

/// Nanoseconds since boot, the clock of the kernel's records.
pub(crate) fn now() -> nix::Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    let seconds = u64::try_from(time.tv_sec()).map_err(|_| Errno::ERANGE)?;
    let nanoseconds = u64::try_from(time.tv_nsec()).map_err(|_| Errno::ERANGE)?;
    Ok(seconds * 1_000_000_000 + nanoseconds)
}

/// Says one line to `prove`.
pub(crate) fn say(line: &Line) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&text).and_then(|()| out.flush()).context("standard output")
}
