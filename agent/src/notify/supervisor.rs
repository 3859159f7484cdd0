//! The process that answers.

use std::{
    fs, io, iter,
    os::{
        fd::AsFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bulkhead_seccomp::{Arch, calls};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::write,
};

use super::{
    Line, RefusedCall,
    listener::{Came, Handover, Listener, TOLD_A_SECOND},
    sys::{self, Notification},
};

/// It says that it is alive so often.
pub(super) const BEAT: Duration = Duration::from_millis(250);
/// Containers that are answered for; a node has some hundreds.
const MAX_LISTENERS: usize = 4096;
/// Containers that are being created at one time.
const MAX_HANDOVERS: usize = 512;
/// /proc/PID/cgroup has a line a hierarchy.
const MAX_CGROUP_FILE: u64 = 16 << 10;

/// Why the supervisor cannot work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupervisorError {
    /// The socket could not be made.
    #[error("cannot listen on {path}: {source}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot wait.
    #[error("cannot wait for calls")]
    Wait(#[source] io::Error),
    /// Nobody reads what it says any more.
    #[error("the watchdog is gone")]
    Alone,
}

/// Answers until the watchdog is gone.
pub(crate) fn supervise(socket: &Path) -> Result<(), SupervisorError> {
    let broken = |source| SupervisorError::Socket { path: socket.to_owned(), source };
    let door = open(socket).map_err(broken)?;
    // Whoever reads the lines must not be able to stop the answers.
    fcntl(io::stdout(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(|error| SupervisorError::Wait(error.into()))?;
    let mut supervisor = Supervisor { listeners: Vec::new(), handovers: Vec::new(), lost: 0 };
    let (mut beat, mut refill) = (Instant::now(), Instant::now());
    loop {
        if Instant::now() >= beat {
            supervisor.say(&Line::Alive)?;
            beat = Instant::now() + BEAT;
        }
        if Instant::now() >= refill {
            supervisor.listeners.iter_mut().for_each(|listener| listener.left = TOLD_A_SECOND);
            refill = Instant::now() + Duration::from_secs(1);
        }
        let ready = supervisor.wait(&door).map_err(SupervisorError::Wait)?;
        supervisor.serve(&ready.listeners)?;
        supervisor.go_on(&ready.handovers)?;
        if ready.door {
            supervisor.take(&door)?;
        }
    }
}

/// Root's, and nobody else's: the runtimes are root.
fn open(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let door = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    door.set_nonblocking(true)?;
    Ok(door)
}

/// What can be done without waiting.
struct Ready {
    door: bool,
    /// Events of each listener.
    listeners: Vec<PollFlags>,
    /// Events of each handover.
    handovers: Vec<PollFlags>,
}

struct Supervisor {
    listeners: Vec<Listener>,
    handovers: Vec<Handover>,
    /// Lines that nobody could take.
    lost: u64,
}

impl Supervisor {
    fn wait(&self, door: &UnixListener) -> io::Result<Ready> {
        let listeners = self.listeners.iter().map(|listener| listener.descriptor.as_fd());
        let handovers = self.handovers.iter().map(|handover| handover.stream.as_fd());
        let mut all: Vec<PollFd<'_>> = iter::once(door.as_fd())
            .chain(listeners)
            .chain(handovers)
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
            .collect();
        let patience = PollTimeout::try_from(BEAT).unwrap_or(PollTimeout::ZERO);
        match poll(&mut all, patience) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = all.iter().map(|one| one.revents().unwrap_or(PollFlags::empty()));
        let door = events.next().is_some_and(|events| !events.is_empty());
        let listeners = events.by_ref().take(self.listeners.len()).collect();
        Ok(Ready { door, listeners, handovers: events.collect() })
    }

    /// Answers one call of each listener that has one, and lets go of those without tasks.
    fn serve(&mut self, events: &[PollFlags]) -> Result<(), SupervisorError> {
        let mut lines = Vec::new();
        let mut ended = Vec::new();
        for (index, (listener, events)) in self.listeners.iter_mut().zip(events).enumerate() {
            if events.contains(PollFlags::POLLIN) {
                match answer(listener) {
                    Ok(line) => lines.extend(line.map(Line::Refused)),
                    Err(error) => {
                        let why = format!("{}: {error}", listener.container);
                        lines.push(Line::Bad { why });
                        ended.push(index);
                    }
                }
            } else if !events.is_empty() {
                ended.push(index);
            }
        }
        for index in ended.into_iter().rev() {
            // Dropped: the kernel answers ENOSYS to whoever still waits.
            self.listeners.swap_remove(index);
        }
        lines.iter().try_for_each(|line| self.say(line))
    }

    /// Lets a runtime in.
    fn take(&mut self, door: &UnixListener) -> Result<(), SupervisorError> {
        let taken = match door.accept() {
            Ok((stream, _)) => admit(&stream).and_then(|()| Handover::of(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => Err(error),
        };
        match taken {
            Ok(_) if self.handovers.len() >= MAX_HANDOVERS => {
                let why = format!("more than {MAX_HANDOVERS} runtimes have sent no listener yet");
                self.say(&Line::Bad { why })
            }
            Ok(handover) => {
                self.handovers.push(handover);
                Ok(())
            }
            Err(error) => self.say(&Line::Bad { why: error.to_string() }),
        }
    }

    /// Takes the listeners that have come.
    fn go_on(&mut self, events: &[PollFlags]) -> Result<(), SupervisorError> {
        let mut lines = Vec::new();
        for index in (0..events.len()).rev() {
            let ready = events.get(index).is_some_and(|events| !events.is_empty());
            let Some(handover) = self.handovers.get_mut(index).filter(|_| ready) else { continue };
            match handover.go_on() {
                Ok(Came::Part) => continue,
                Ok(Came::Nothing) => {}
                Ok(Came::Listener(_)) if self.listeners.len() >= MAX_LISTENERS => {
                    let why = format!("more than {MAX_LISTENERS} containers ask");
                    lines.push(Line::Bad { why });
                }
                Ok(Came::Listener(listener)) => {
                    lines.push(Line::Took { container: listener.container.clone() });
                    self.listeners.push(listener);
                }
                Err(error) => lines.push(Line::Bad { why: error.to_string() }),
            }
            self.handovers.swap_remove(index);
        }
        lines.iter().try_for_each(|line| self.say(line))
    }

    /// A line for the watchdog. One that finds no room is counted, not waited for.
    fn say(&mut self, line: &Line) -> Result<(), SupervisorError> {
        let text = serde_json::to_vec(line).unwrap_or_default();
        let text = [text.as_slice(), b"\n"].concat();
        match write(io::stdout(), &text) {
            Ok(_) => Ok(()),
            Err(nix::errno::Errno::EAGAIN) => {
                self.lost += 1;
                Ok(())
            }
            Err(_) => Err(SupervisorError::Alone),
        }
    }
}

/// Only root hands over listeners.
fn admit(stream: &UnixStream) -> io::Result<()> {
    let peer = getsockopt(stream, PeerCredentials)?;
    if peer.uid() == 0 { Ok(()) } else { Err(io::Error::other("a process that is not root asked")) }
}

/// Refuses one call, and says what is to be told of it.
fn answer(listener: &mut Listener) -> io::Result<Option<RefusedCall>> {
    let descriptor = listener.descriptor.as_fd();
    let Some(call) = sys::receive(descriptor)? else { return Ok(None) };
    let told = listener.left > 0;
    // While it waits its number is its own.
    let known = if told { look(call.pid) } else { None };
    let known = known.filter(|_| sys::still_waits(descriptor, call.id));
    sys::refuse(descriptor, call.id)?;
    if !told {
        listener.untold += 1;
        return Ok(None);
    }
    listener.left -= 1;
    let untold = std::mem::take(&mut listener.untold);
    Ok(Some(describe(&call, known, listener.container.clone(), untold)))
}

/// Name and cgroup of a task.
fn look(pid: u32) -> Option<(String, Option<String>)> {
    use std::io::Read;
    let mut text = String::new();
    let file = fs::File::open(format!("/proc/{pid}/cgroup")).ok()?;
    file.take(MAX_CGROUP_FILE).read_to_string(&mut text).ok()?;
    let cgroup = text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned);
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some((comm.trim_end().to_owned(), cgroup))
}

fn describe(
    call: &Notification,
    known: Option<(String, Option<String>)>,
    container: String,
    untold: u64,
) -> RefusedCall {
    let number = u32::try_from(call.number).unwrap_or(u32::MAX);
    let arch = Arch::ALL.into_iter().find(|arch| arch.audit() == call.arch);
    let name = arch.and_then(|arch| calls::name(arch, number));
    let (comm, cgroup) = known.unwrap_or_default();
    RefusedCall {
        call: name.map_or_else(|| format!("number {number}"), str::to_owned),
        compat: arch != Some(Arch::native()),
        arguments: call.arguments,
        pid: call.pid,
        comm,
        cgroup,
        container,
        untold,
    }
}
