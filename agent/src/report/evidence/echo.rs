//! The copy of the log on stdout.
//!
//! Whoever reads it may be slow, stopped or gone. A thread of its own waits for it, so that the
//! agent does not.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel},
    thread,
    time::Duration,
};

/// Lines that may wait for the reader.
const LINES: usize = 4_096;
/// How long the end waits for the reader; the agent must be gone within two seconds.
const LAST_WAIT: Duration = Duration::from_millis(300);

/// See the module.
pub(super) struct Echo {
    lines: Option<SyncSender<Vec<u8>>>,
    /// Hangs up when the thread ends.
    done: Receiver<()>,
    skipped: u64,
    ended: bool,
}

impl Echo {
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, queue) = sync_channel(LINES);
        let (alive, done) = channel::<()>();
        thread::Builder::new().name("echo".to_owned()).spawn(move || {
            copy(&queue, sink);
            drop(alive);
        })?;
        Ok(Self { lines: Some(lines), done, skipped: 0, ended: false })
    }

    /// Hands a line on, if there is room.
    pub(super) fn send(&mut self, line: Vec<u8>) {
        let Some(lines) = &self.lines else { return };
        match lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.skipped += 1,
            Err(TrySendError::Disconnected(_)) => {
                self.lines = None;
                self.ended = true;
            }
        }
    }

    /// Whether the copy has ended, and how many lines were left out, since the last call.
    pub(super) fn news(&mut self) -> (bool, u64) {
        (std::mem::take(&mut self.ended), std::mem::take(&mut self.skipped))
    }

    /// Lets the thread write what it has, for a moment.
    pub(super) fn close(mut self) {
        self.lines = None;
        match self.done.recv_timeout(LAST_WAIT) {
            // The thread sends nothing: it has ended, or its reader keeps it and takes it along.
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Ends when the sender hangs up or the sink fails (EPIPE when the reader is gone).
fn copy(queue: &Receiver<Vec<u8>>, mut sink: impl Write) {
    while let Ok(line) = queue.recv() {
        if sink.write_all(&line).and_then(|()| sink.flush()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_reach_the_reader_whole_and_in_order() {
        let (reader, writer) = io::pipe().unwrap();
        let mut echo = Echo::start(writer).unwrap();
        echo.send(b"{\"a\":1}\n".to_vec());
        echo.send(b"{\"a\":2}\n".to_vec());
        echo.close();
        assert_eq!(io::read_to_string(reader).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
    }

    #[test]
    fn a_reader_that_is_gone_ends_the_copy_once_and_harms_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut echo = Echo::start(writer).unwrap();
        let mut ends = 0;
        for _ in 0..200 {
            echo.send(b"{}\n".to_vec());
            ends += u32::from(echo.news().0);
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(ends, 1);
        echo.close();
    }

    #[test]
    fn a_reader_that_stops_reading_costs_lines_and_no_time() {
        let (reader, writer) = io::pipe().unwrap();
        let mut echo = Echo::start(writer).unwrap();
        let begin = std::time::Instant::now();
        for _ in 0..LINES * 2 + 100 {
            echo.send(vec![b'x'; 1_000]);
        }
        let (ended, skipped) = echo.news();
        assert!(!ended && skipped > 0, "{skipped} skipped");
        echo.close();
        assert!(begin.elapsed() < Duration::from_secs(2));
        drop(reader);
    }
}
