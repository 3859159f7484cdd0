//! Starting one of our own children and listening to it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    actor::{self, Line, Scene},
    cgroup::Cgroup,
    play,
    prop::Step,
    sys,
};

/// Starts `bulkhead act NAME` in the cgroup that has this `cgroup.procs`, after `steps`.
///
/// An actor's standard input is the line to the process that it acts on, over which that one hands
/// descriptors out (`lend`).
pub(crate) fn start(
    name: &str,
    scene: &Scene,
    procs: Option<&File>,
    mut steps: Vec<Step>,
    stdin: Stdio,
) -> anyhow::Result<Child> {
    steps.insert(0, Step::DieWithParent);
    // Last, so that nothing of the set-up happens inside the container.
    steps.extend(procs.map(|procs| Step::EnterCgroup(procs.as_raw_fd())));
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("act")
        .arg(name)
        .arg("--scene")
        .arg(serde_json::to_string(scene)?)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // The terminal's Ctrl-C is for `prove`, which then ends its children itself.
        .process_group(0);
    sys::prepare(&mut command, steps);
    command.spawn().with_context(|| format!("cannot start {name}"))
}

/// Refuses to go on where starting ourselves again would start something else.
pub(crate) fn check_own_program() -> anyhow::Result<()> {
    let path = std::fs::read_link("/proc/self/exe").context("/proc/self/exe")?;
    if Path::new(&path).to_string_lossy().ends_with(" (deleted)") {
        // A deleted program executed in a container looks like a runtime's sealed copy of itself.
        bail!("this program's file was replaced while it runs; start it again");
    }
    Ok(())
}

/// A process that stands still to be acted on. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Target {
    child: Child,
    process: actor::TargetProcess,
    /// The line to it; with its last end the child goes.
    line: UnixStream,
}

impl Target {
    /// Starts one in `cgroup`, in a UTS namespace of its own; or beside `prove`, where there is
    /// none.
    pub(crate) fn start(cgroup: Option<&Cgroup>, scratch: &Path) -> anyhow::Result<Self> {
        let scene = Scene { scratch: scratch.to_owned(), agents: scratch.to_owned(), target: None };
        let own_uts = cgroup.map(|_| Step::Unshare(nix::sched::CloneFlags::CLONE_NEWUTS));
        let (line, other) = UnixStream::pair().context("a line to a process to act on")?;
        let stdin = OwnedFd::from(other).into();
        let mut child = start(
            play::TARGET,
            &scene,
            cgroup.map(Cgroup::procs),
            own_uts.into_iter().collect(),
            stdin,
        )?;
        match hello(&mut child) {
            Ok(process) => Ok(Self { child, process, line }),
            Err(error) => {
                end(&mut child)?;
                Err(error.context("a process to act on did not start"))
            }
        }
    }

    pub(crate) fn process(&self) -> actor::TargetProcess {
        self.process
    }

    /// Another end of the line to it.
    pub(crate) fn line(&self) -> anyhow::Result<Stdio> {
        Ok(OwnedFd::from(self.line.try_clone().context("a line to a process to act on")?).into())
    }

    /// Whether it is still there, untouched.
    pub(crate) fn stands(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Err(error) = end(&mut self.child) {
            tracing::warn!(pid = self.child.id(), "a child of ours cannot be ended: {error}");
        }
    }
}

/// Kills and reaps a child of ours.
pub(crate) fn end(child: &mut Child) -> std::io::Result<()> {
    if child.try_wait()?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

fn hello(child: &mut Child) -> anyhow::Result<actor::TargetProcess> {
    let out = child.stdout.take().context("no standard output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    match serde_json::from_str(&line) {
        Ok(Line::Ready { target }) => Ok(target),
        Ok(other) => bail!("it said {other:?}"),
        Err(_) => bail!("it said {line:?}{}", complaint(child)),
    }
}

/// What a child wrote to standard error, for a message.
pub(crate) fn complaint(child: &mut Child) -> String {
    let mut text = String::new();
    let Some(stderr) = child.stderr.take() else { return text };
    match stderr.take(4096).read_to_string(&mut text) {
        Ok(0) => text,
        Ok(_) => format!(": {}", text.trim_end()),
        Err(error) => format!(": {error}"),
    }
}

/// How a child's run ended.
#[derive(Debug)]
pub(crate) enum End {
    Exited(ExitStatus),
    /// It did not end in time and was killed.
    Late,
    /// A signal asked `prove` itself to stop.
    Interrupted,
}

/// Follows a child to its end: collects its lines, and calls `meanwhile` at each turn.
pub(crate) fn follow(
    child: &mut Child,
    patience: Duration,
    wake: Option<&OwnedFd>,
    mut meanwhile: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<Line>, End)> {
    let turn = PollTimeout::from(2u8);
    let mut out = child.stdout.take().context("no standard output")?;
    fcntl(&out, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("standard output of a child")?;
    let deadline = Instant::now() + patience;
    let mut text = Vec::new();
    let mut open = true;
    let end = loop {
        if open {
            open = read_some(&mut out, &mut text)?;
        }
        meanwhile()?;
        if !open && let Some(status) = child.try_wait()? {
            break End::Exited(status);
        }
        if sys::interrupted() || Instant::now() > deadline {
            end(child)?;
            break if sys::interrupted() { End::Interrupted } else { End::Late };
        }
        let mut waits: Vec<_> =
            wake.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).into_iter().collect();
        if open {
            waits.push(PollFd::new(out.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut waits, turn) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("poll"),
        }
    };
    Ok((lines(&text)?, end))
}

/// Reads what is there; false at the end of file.
fn read_some(out: &mut impl Read, text: &mut Vec<u8>) -> anyhow::Result<bool> {
    let mut chunk = [0; 1024];
    loop {
        match out.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(length) => text.extend(chunk.iter().take(length)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("standard output of a child"),
        }
    }
}

fn lines(text: &[u8]) -> anyhow::Result<Vec<Line>> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_slice(line)
                .with_context(|| format!("a child said {:?}", String::from_utf8_lossy(line)))
        })
        .collect()
}
