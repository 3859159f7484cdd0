//! Reading processes in a child, because reading may hang.
//!
//! What is read of a process is its memory's (command line, environment), and a tenant decides what
//! backs that memory: pages that a user space file system must bring never come while that file
//! system's own process stands still. So a child reads, and is killed where it takes too long; the
//! process is then told without what its memory holds.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use super::inspect::{Depth, HIDDEN_COMMAND, RunningImage};

/// Time for one process. Reading takes milliseconds, hashing a large program some hundred.
const PATIENCE: Duration = Duration::from_secs(3);
/// Children that have hung. Each may be left behind until what it waits for goes on.
const MAX_HUNG: usize = 4;

/// See the module.
pub(crate) struct Reader {
    child: Option<Reading>,
    hung: Vec<Child>,
    patience: Duration,
}

impl Default for Reader {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

struct Reading {
    child: Child,
    asks: ChildStdin,
    lines: Receiver<String>,
}

enum Told {
    Line(String),
    Hung,
    Broken(String),
}

impl Reader {
    /// A reader that waits so long for one process.
    pub(crate) fn with_patience(patience: Duration) -> Self {
        Self { child: None, hung: Vec::new(), patience }
    }

    /// What a process runs, with its command line where that can be had; nothing where the process
    /// is gone or nobody can tell.
    pub(crate) fn image(&mut self, pid: u32) -> Option<RunningImage> {
        let told = match self.ask(pid, Depth::Image) {
            Told::Hung => self.ask(pid, Depth::ImageWithoutMemory),
            told => told,
        };
        match told {
            Told::Line(line) => serde_json::from_str(&line).ok()?,
            Told::Broken(_) | Told::Hung => None,
        }
    }

    /// What there is to say of a process: one JSON object.
    pub(crate) fn read(&mut self, pid: u32) -> String {
        match self.ask(pid, Depth::Full) {
            Told::Line(line) => line,
            Told::Broken(why) => unread(pid, &why),
            Told::Hung => match self.ask(pid, Depth::WithoutMemory) {
                Told::Line(line) => line,
                Told::Broken(why) => unread(pid, &why),
                Told::Hung => unread(pid, "reading it hung"),
            },
        }
    }

    fn ask(&mut self, pid: u32, depth: Depth) -> Told {
        if self.hung.len() >= MAX_HUNG {
            return Told::Broken("reading other processes hung too often".to_owned());
        }
        if self.child.is_none() {
            match Reading::start() {
                Ok(reading) => self.child = Some(reading),
                Err(error) => return Told::Broken(error.to_string()),
            }
        }
        let patience = self.patience;
        let Some(reading) = &mut self.child else { return Told::Hung };
        let asked = writeln!(reading.asks, "{pid} {}", depth.as_str());
        let answered = asked.map(|()| reading.lines.recv_timeout(patience));
        match answered {
            Ok(Ok(line)) => return Told::Line(line),
            Ok(Err(RecvTimeoutError::Timeout)) => {
                self.give_up();
                return Told::Hung;
            }
            Ok(Err(RecvTimeoutError::Disconnected)) | Err(_) => {}
        }
        self.give_up();
        Told::Broken("the process that reads has ended".to_owned())
    }

    /// Kills the child. One that waits for what does not come is waited for elsewhere.
    fn give_up(&mut self) {
        let Some(mut reading) = self.child.take() else { return };
        if let Err(error) = reading.child.kill() {
            tracing::debug!(%error, "the reader of a capture has ended already");
        }
        thread::sleep(Duration::from_millis(50));
        if !matches!(reading.child.try_wait(), Ok(Some(_))) {
            self.hung.push(reading.child);
        }
    }
}

impl Reading {
    fn start() -> std::io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg(HIDDEN_COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .env_clear()
            .spawn()?;
        let missing = || std::io::Error::other("a pipe of the reader is missing");
        let asks = child.stdin.take().ok_or_else(missing)?;
        let told = child.stdout.take().ok_or_else(missing)?;
        let (sender, lines) = sync_channel(1);
        // It ends when the child does.
        thread::Builder::new().name("capture lines".to_owned()).spawn(move || {
            for line in BufReader::new(told).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { child, asks, lines })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(Reading { mut child, asks, lines }) = self.child.take() {
            // The end of its questions is its end.
            drop((asks, lines));
            if let Err(error) = child.wait() {
                tracing::debug!(%error, "cannot wait for the reader of a capture");
            }
        }
        for mut child in self.hung.drain(..) {
            // Killed, and gone as soon as the kernel lets it.
            let waited = thread::Builder::new().spawn(move || child.wait());
            if let Err(error) = waited {
                tracing::warn!(%error, "cannot wait for a reader that hung");
            }
        }
    }
}

fn unread(pid: u32, why: &str) -> String {
    serde_json::json!({ "pid": pid, "unread": why }).to_string()
}
