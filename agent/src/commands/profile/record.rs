//! `bulkhead profile record`

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use bulkhead_seccomp::learn::{self, Learned, Observed};
use tokio::time::{Instant, sleep_until};

use super::{FOUND, source};
use crate::{cli::profile::RecordCalls, node::privilege, profiles::Recording};

/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);
/// How often it looks whether the container is still there.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn run(arguments: &RecordCalls) -> anyhow::Result<ExitCode> {
    privilege::require()?;
    let ceiling = source::level(&arguments.level)?;
    let (observed, unnamed) = watch(&arguments.container, arguments.duration)?;
    let learned = learn::profile(&observed, &arguments.level, &ceiling)?;
    super::hand_out(&learned.profile, arguments.output.as_deref())?;
    tell(&observed, unnamed, &learned, &arguments.level);
    Ok(if learned.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// Watches a container for a while: the calls that it made, and how many nobody can name. The
/// programs are gone afterwards: they tax every call of the node.
pub(super) fn watch(container: &str, duration: Duration) -> anyhow::Result<(Observed, u64)> {
    let recording = Recording::start(container)?;
    eprintln!("recording {} for {} s", recording.cgroup().display(), duration.as_secs());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the clock")?;
    runtime.block_on(wait(&recording, duration))?;
    Ok(recording.observed()?)
}

/// Until the time is over, the container is gone, or somebody has seen enough.
async fn wait(recording: &Recording, duration: Duration) -> anyhow::Result<()> {
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let end = Instant::now() + duration;
    let (mut look, mut progress) = (Instant::now() + LOOK, Instant::now() + PROGRESS);
    loop {
        tokio::select! {
            () = sleep_until(end) => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            () = sleep_until(look) => {
                if !recording.goes_on() {
                    eprintln!("the container has ended");
                    return Ok(());
                }
                look = Instant::now() + LOOK;
            }
            () = sleep_until(progress) => {
                let (observed, _) = recording.observed()?;
                let left = end.saturating_duration_since(Instant::now()).as_secs();
                eprintln!("{} different calls so far, {left} s to go", observed.calls.len());
                progress = Instant::now() + PROGRESS;
            }
        }
    }
}

fn tell(observed: &Observed, unnamed: u64, learned: &Learned, level: &str) {
    let made: u64 = observed.calls.values().sum();
    eprintln!("{} different calls, made {made} times", observed.calls.len());
    if unnamed > 0 {
        eprintln!("{unnamed} calls had numbers that no table has: the profile refuses them");
    }
    if observed.values_lost > 0 {
        eprintln!(
            "{} arguments found no room: where the level looks at arguments, its own rules were taken",
            observed.values_lost
        );
    }
    for refused in &learned.refused {
        let value = refused.value.map_or_else(String::new, |value| format!(" with {value:#x}"));
        eprintln!(
            "beyond {level}: {}{value} on {}, seen {} times; with this profile: {}",
            refused.call, refused.architecture, refused.count, refused.answer
        );
    }
}
