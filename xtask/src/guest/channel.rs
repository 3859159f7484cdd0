//! What comes out of the guest: two output streams and the state of the command.
//!
//! Each stream is a virtio port on the guest's side and a Unix socket on ours. The output streams
//! end with a mark chosen for the run, not with the end of the connection: a daemon that the
//! command left behind may hold them open.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use super::qemu::STREAMS;

/// News from the guest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The guest is up and starts the command.
    Ready,
    /// The command has ended with this status.
    Exited(u8),
    /// One of the two output streams is complete and passed on.
    StreamEnded,
    /// Output could not be passed on.
    Broken(String),
}

/// Where the command's output goes.
pub(crate) struct Sinks {
    pub(crate) out: Box<dyn Write + Send>,
    pub(crate) err: Box<dyn Write + Send>,
}

impl Sinks {
    /// A buffer for stdout; stderr is this process's own.
    pub(crate) fn captured() -> (Self, Captured) {
        let captured = Captured::default();
        (Self { out: Box::new(captured.clone()), err: Box::new(io::stderr()) }, captured)
    }

    /// This process's own stdout and stderr.
    pub(crate) fn own() -> Self {
        Self { out: Box::new(io::stdout()), err: Box::new(io::stderr()) }
    }
}

/// A buffer that the stream's thread fills and the runner reads afterwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// What has come so far, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // A thread that died while it held the lock has left whole bytes behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens on the sockets and passes on what comes; QEMU is to be started afterwards.
pub(crate) fn open(sockets: &Path, mark: &str, sinks: Sinks) -> Result<Receiver<News>> {
    let (sender, news) = mpsc::channel();
    let [out, err, status] = STREAMS.map(|name| {
        let path = sockets.join(name);
        UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))
    });
    for (listener, sink) in [(out?, sinks.out), (err?, sinks.err)] {
        let (sender, mark) = (sender.clone(), mark.as_bytes().to_vec());
        thread::spawn(move || pass_on(&listener, &mark, sink, &sender));
    }
    let status = status?;
    thread::spawn(move || report_state(&status, &sender));
    Ok(news)
}

fn pass_on(listener: &UnixListener, mark: &[u8], sink: Box<dyn Write + Send>, news: &Sender<News>) {
    let copied = listener.accept().and_then(|(stream, _)| copy_until(stream, mark, sink));
    let last = match copied {
        Ok(true) => News::StreamEnded,
        // The connection ended without the mark: the machine is gone, which is told elsewhere.
        Ok(false) => return,
        Err(error) => News::Broken(format!("cannot pass on the command's output: {error}")),
    };
    tell(news, last);
}

fn report_state(listener: &UnixListener, news: &Sender<News>) {
    let Ok((stream, _)) = listener.accept() else { return };
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        match parse_state(&line) {
            Some(state) => tell(news, state),
            None => tell(news, News::Broken(format!("the guest says `{line}`, whatever that is"))),
        }
    }
}

fn parse_state(line: &str) -> Option<News> {
    if line == "ready" {
        return Some(News::Ready);
    }
    line.strip_prefix("exit ")?.parse().ok().map(News::Exited)
}

/// The runner may have left already (its time is over); then nobody wants the news.
fn tell(to: &Sender<News>, news: News) {
    drop(to.send(news));
}

/// Copies up to the mark, which is not copied; tells whether it came.
fn copy_until(mut from: impl Read, mark: &[u8], mut to: impl Write) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    let mut held = Vec::new();
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => {
                to.write_all(&held)?;
                to.flush()?;
                return Ok(false);
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        held.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let found = held.windows(mark.len()).position(|window| window == mark);
        // Whatever may be the beginning of the mark is held back.
        let sure = found.unwrap_or_else(|| held.len() - longest_beginning(&held, mark));
        to.write_all(held.get(..sure).unwrap_or_default())?;
        to.flush()?;
        if found.is_some() {
            return Ok(true);
        }
        held.drain(..sure);
    }
}

/// How many of the last bytes are the first bytes of the mark.
fn longest_beginning(bytes: &[u8], mark: &[u8]) -> usize {
    let longest = mark.len().saturating_sub(1).min(bytes.len());
    (1..=longest)
        .rev()
        .find(|&count| mark.get(..count).is_some_and(|beginning| bytes.ends_with(beginning)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its pieces one read at a time, as a socket may.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn copied(pieces: &[&'static [u8]]) -> (bool, String) {
        let mut to = Vec::new();
        let marked = copy_until(Pieces(pieces.to_vec()), b"-end-", &mut to).unwrap();
        (marked, String::from_utf8(to).unwrap())
    }

    #[test]
    fn output_ends_at_the_mark_however_it_is_cut() {
        assert_eq!(copied(&[b"all in one-end-"]), (true, "all in one".into()));
        assert_eq!(copied(&[b"cut-e", b"nd-rest"]), (true, "cut".into()));
        assert_eq!(copied(&[b"-", b"e", b"n", b"d", b"-"]), (true, String::new()));
    }

    #[test]
    fn a_beginning_that_is_no_mark_is_passed_on() {
        assert_eq!(copied(&[b"-end", b"ing-en", b"d--end-"]), (true, "-ending".into()));
        assert_eq!(copied(&[b"--", b"end-"]), (true, "-".into()));
    }

    #[test]
    fn a_lost_machine_loses_no_byte_that_came() {
        assert_eq!(copied(&[b"half a line-en"]), (false, "half a line-en".into()));
    }

    #[test]
    fn the_state_is_ready_then_an_exit_status() {
        assert_eq!(parse_state("ready"), Some(News::Ready));
        assert_eq!(parse_state("exit 7"), Some(News::Exited(7)));
        assert_eq!(parse_state("exit 256"), None);
        assert_eq!(parse_state("exit"), None);
    }
}
