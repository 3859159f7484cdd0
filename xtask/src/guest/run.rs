//! One run of a guest: boot it, pass on what its command says, tell how it ended.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::channel::{self, News, Sinks};
use super::image::Image;
use super::qemu::{self, Console};
use super::share::{self, Shared, Task};
use super::{AREA, NodeArguments, RunArguments, binaries, image, setup};
use crate::{CANNOT, cache, command};

/// The exit status of a run whose time is over, as with timeout(1).
const TIMED_OUT: u8 = 124;

/// How often the runner looks whether QEMU still lives.
const LOOK: Duration = Duration::from_millis(50);

/// What is still on its way when QEMU has ended arrives within this.
const DRAIN: Duration = Duration::from_millis(500);

/// Lines of the console that are shown when a run fails.
const CONSOLE_LINES: usize = 25;

/// Consoles of failed runs that are kept.
const CONSOLES_KEPT: usize = 20;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command ended with this status.
    Exited(u8),
    /// The time was over first.
    TimedOut,
    /// The guest's kernel panicked with this line.
    Panicked(String),
    /// The machine ended without a word on the command.
    Lost(String),
}

impl Outcome {
    /// The exit status that stands for this outcome.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Exited(status) => *status,
            Self::TimedOut => TIMED_OUT,
            Self::Panicked(_) | Self::Lost(_) => CANNOT,
        }
    }
}

/// Builds what is needed, boots a guest once and ends as its command ends.
pub(crate) fn once(run: &RunArguments) -> Result<ExitCode> {
    setup::ensure()?;
    let programs = programs(&run.node)?;
    let image = image::of(&run.node)?;
    let outcome = boot(run, &image, &programs, Sinks::own())?;
    Ok(ExitCode::from(outcome.status()))
}

/// Boots the image, runs the command, and tells what went wrong if something did.
pub(crate) fn boot(
    run: &RunArguments,
    image: &Image,
    programs: &[PathBuf],
    sinks: Sinks,
) -> Result<Outcome> {
    let scratch = tempfile::Builder::new().prefix("bulkhead-guest-").tempdir()?;
    let mark = mark()?;
    let task = Task::Run { command: &run.command, mark: &mark };
    let share = make_share(scratch.path(), &run.node, programs, &task)?;
    let console = console_path(run)?;
    let news = channel::open(scratch.path(), &mark, sinks)?;
    eprintln!("{AREA}: booting a {} node", run.node.kernel.name());
    let begun = Instant::now();
    let output = Console::File(&console);
    let mut child = qemu::command(&run.node, image, &share, scratch.path(), &output)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start QEMU")?;
    let followed = follow(&mut child, &news, begun, Duration::from_secs(run.timeout));
    child.kill().context("cannot end QEMU")?;
    child.wait().context("cannot wait for QEMU's end")?;
    let outcome = match followed? {
        Outcome::Lost(why) => judge_by_console(&console, why),
        other => other,
    };
    tell(&outcome, run, &console)?;
    Ok(outcome)
}

/// Builds what goes onto the PATH of the guest.
pub(crate) fn programs(node: &NodeArguments) -> Result<Vec<PathBuf>> {
    if node.no_agent {
        return binaries::build(&[binaries::CRI], &node.profile);
    }
    binaries::build(&[binaries::AGENT, binaries::CRI, binaries::WRAPPER], &node.profile)
}

/// Gives a shell in a guest on this terminal.
pub(crate) fn shell(node: &NodeArguments) -> Result<()> {
    setup::ensure()?;
    let programs = programs(node)?;
    let image = image::of(node)?;
    let scratch = tempfile::Builder::new().prefix("bulkhead-guest-").tempdir()?;
    let share = make_share(scratch.path(), node, &programs, &Task::Shell)?;
    let mut qemu = qemu::command(node, &image, &share, scratch.path(), &Console::Terminal);
    command::run_visibly(&mut qemu)
}

fn make_share(
    scratch: &Path,
    node: &NodeArguments,
    programs: &[PathBuf],
    task: &Task<'_>,
) -> Result<PathBuf> {
    let own = programs.iter().map(|path| Shared::under_own_name(path));
    let shared: Vec<Shared> =
        own.chain(node.share.iter().cloned().map(Ok)).collect::<Result<_>>()?;
    let disk = scratch.join("share.ext4");
    share::make(&disk, &scratch.join("stage"), &shared, node.containerd, task)?;
    Ok(disk)
}

/// Waits for the command's end, or for what comes first.
fn follow(
    child: &mut Child,
    news: &Receiver<News>,
    begun: Instant,
    limit: Duration,
) -> Result<Outcome> {
    let mut status = None;
    let mut streams_left = 2;
    let mut ended: Option<Instant> = None;
    loop {
        match news.recv_timeout(LOOK) {
            Ok(News::Ready) => {
                eprintln!("{AREA}: up after {:.1} s", begun.elapsed().as_secs_f64());
            }
            Ok(News::Exited(code)) => status = Some(code),
            Ok(News::StreamEnded) => streams_left -= 1,
            Ok(News::Broken(why)) => return Ok(Outcome::Lost(why)),
            Err(RecvTimeoutError::Timeout) => {}
            // All streams are closed: QEMU is ending. Do not spin until it has.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
        }
        if let (Some(code), 0) = (status, streams_left) {
            return Ok(Outcome::Exited(code));
        }
        if begun.elapsed() > limit {
            return Ok(Outcome::TimedOut);
        }
        if ended.is_some_and(|at| at.elapsed() > DRAIN) {
            return Ok(Outcome::Lost("the machine went off before the command ended".to_owned()));
        }
        if ended.is_none() && child.try_wait().context("cannot look after QEMU")?.is_some() {
            ended = Some(Instant::now());
        }
    }
}

/// A machine that went off has often said why.
fn judge_by_console(console: &Path, why: String) -> Outcome {
    let said = fs::read(console).unwrap_or_default();
    match panic_line(&String::from_utf8_lossy(&said)) {
        Some(line) => Outcome::Panicked(line),
        None => Outcome::Lost(why),
    }
}

fn panic_line(console: &str) -> Option<String> {
    console.lines().find(|line| line.contains("Kernel panic - not syncing")).map(str::to_owned)
}

fn tell(outcome: &Outcome, run: &RunArguments, console: &Path) -> Result<()> {
    match outcome {
        Outcome::Exited(0) => {
            if run.keep_console.is_none() {
                fs::remove_file(console).context("cannot remove the console's file")?;
            }
            return Ok(());
        }
        Outcome::Exited(status) => eprintln!("{AREA}: CMD ended with {status}"),
        Outcome::TimedOut => eprintln!("{AREA}: not done after {} s, given up", run.timeout),
        Outcome::Panicked(line) => eprintln!("{AREA}: the guest's kernel panicked: {line}"),
        Outcome::Lost(why) => eprintln!("{AREA}: {why}"),
    }
    if !matches!(outcome, Outcome::Exited(_)) {
        let said = command::tail(&fs::read(console).unwrap_or_default(), CONSOLE_LINES);
        let said = if said.is_empty() { "(none)" } else { &said };
        eprintln!("{AREA}: the console's last lines:\n{said}");
    }
    eprintln!("{AREA}: the whole console is in {}", console.display());
    Ok(())
}

/// The file for the console: the one asked for, or one in the cache, where old ones are removed.
fn console_path(run: &RunArguments) -> Result<PathBuf> {
    if let Some(path) = &run.keep_console {
        return Ok(path.clone());
    }
    let directory = cache::root().join("guest/consoles");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut old: Vec<_> = fs::read_dir(&directory)?.collect::<Result<_, _>>()?;
    old.sort_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok());
    for entry in old.iter().rev().skip(CONSOLES_KEPT) {
        // Another run may have removed it in the meantime.
        if let Err(error) = fs::remove_file(entry.path()) {
            ensure!(
                error.kind() == std::io::ErrorKind::NotFound,
                "cannot remove a console: {error}"
            );
        }
    }
    Ok(directory.join(format!("{}-{}.log", run.node.kernel.name(), std::process::id())))
}

/// What ends the streams of this run; no command can print it by accident.
fn mark() -> Result<String> {
    let mut random = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut random).context("no random bytes")?;
    Ok(format!("bulkhead-end-{}", cache::hex(&random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_commands_own_or_tells_what_broke() {
        assert_eq!(Outcome::Exited(7).status(), 7);
        assert_eq!(Outcome::TimedOut.status(), 124);
        assert_eq!(Outcome::Panicked(String::new()).status(), 125);
        assert_eq!(Outcome::Lost(String::new()).status(), 125);
    }

    #[test]
    fn a_panic_is_found_on_the_console() {
        let console = "[ 1.0] all well\n[ 2.0] Kernel panic - not syncing: sysrq\n[ 2.1] CPU: 0\n";
        assert!(panic_line(console).is_some_and(|line| line.ends_with("sysrq")));
        assert_eq!(panic_line("[ 1.0] all well\n"), None);
    }

    #[test]
    fn two_runs_have_two_marks() {
        assert_ne!(mark().unwrap(), mark().unwrap());
    }
}
