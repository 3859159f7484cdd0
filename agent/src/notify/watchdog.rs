//! The process that sees to it that calls are answered.

use std::{
    io::{self, BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use super::{Line, relay::Relay, supervisor::BEAT};

/// Without a sign of life for so long the supervisor is ended.
const PATIENCE: Duration = Duration::from_secs(2);
/// A supervisor that ends sooner than this cannot work.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);
/// So many in a row, and the fault is not a passing one.
const MAX_SHORT_LIVES: u32 = 5;

/// Why there is nobody to answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    /// The supervisor could not be started.
    #[error("cannot start the supervisor")]
    Start(#[source] io::Error),
    /// It ends as soon as it starts.
    #[error("the supervisor ended {MAX_SHORT_LIVES} times at once: see what it said above")]
    Ends,
}

/// Keeps a supervisor running, and tells what it refuses.
pub(crate) fn watch(socket: &Path, mut relay: Relay) -> Result<(), WatchError> {
    let mut short_lives = 0;
    loop {
        let begun = Instant::now();
        let mut child = start(socket).map_err(WatchError::Start)?;
        let lines = lines_of(&mut child).map_err(WatchError::Start)?;
        let why = follow(&lines, &mut relay);
        // Its listeners close with it, and the kernel answers ENOSYS to whoever waits.
        if let Err(error) = child.kill() {
            tracing::debug!(%error, "the supervisor had ended already");
        }
        child.wait().map_err(WatchError::Start)?;
        relay.ended(why);
        short_lives = if begun.elapsed() < SHORTEST_LIFE { short_lives + 1 } else { 0 };
        if short_lives >= MAX_SHORT_LIVES {
            return Err(WatchError::Ends);
        }
        std::thread::sleep(BEAT);
    }
}

fn start(socket: &Path) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg0("bulkhead-notify")
        .args(["notify", "--supervise", "--socket"])
        .arg(socket)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
}

/// The supervisor's lines, read in a thread of their own.
fn lines_of(child: &mut Child) -> io::Result<Receiver<Line>> {
    let out = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // What is cut off where the pipe was full is passed over; a beat follows.
            let Ok(line) = serde_json::from_str(&line) else { continue };
            if sender.send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("supervisor-lines".to_owned()).spawn(read)?;
    Ok(receiver)
}

/// Until the supervisor is silent or gone; says which.
fn follow(lines: &Receiver<Line>, relay: &mut Relay) -> &'static str {
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => relay.tell(line),
            Err(RecvTimeoutError::Timeout) => {
                return "it gave no sign of life, and was ended: the calls that waited returned \
                        ENOSYS";
            }
            Err(RecvTimeoutError::Disconnected) => return "it ended",
        }
    }
}
