//! The evidence log: one JSON line an event, in files that are never overwritten.
//!
//! ```text
//! append -> sequence number -> queue -> flush -> current.jsonl -> evidence-<first number>.jsonl
//!                           -> echo (a copy on stdout)
//! ```
//!
//! What was written stays whole whatever happens after: a line that could be written in part only
//! is cut off again, at once or at the next start. What cannot be written waits in the queue; what
//! the queue cannot hold is told by a loss event in its place, so that the numbers in the log have
//! no gap. Lines reach the kernel at each flush, not the disk: a crash of the agent loses nothing
//! that was flushed, a crash of the node what the kernel had not yet written back.

mod echo;
mod files;
mod queue;
mod recover;

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use bulkhead_policy::event::{Event, Kind, Loss, LossPlace, Repair, Text};
use jiff::Timestamp;

use self::{
    echo::Echo,
    files::{Files, Written},
    queue::{Entry, Queue, Subject},
};

pub(crate) use self::files::EvidenceError;

/// Lines are handed to the kernel in pieces of about this size.
const BATCH_BYTES: usize = 256 * 1024;

/// Where and how the log is kept.
#[derive(Clone, Debug)]
pub(crate) struct EvidenceOptions {
    /// The directory; made, for root alone, where it is not there.
    pub(crate) directory: PathBuf,
    /// A file that would grow beyond this is closed and the next one begun.
    pub(crate) max_file_bytes: u64,
    /// Closed files kept; the oldest beyond it is removed.
    pub(crate) keep_files: usize,
    /// What may wait while the log cannot be written.
    pub(crate) queue_bytes: usize,
    /// After a failure, the time until the next attempt.
    pub(crate) retry_after: Duration,
}

impl EvidenceOptions {
    /// The defaults: at most about 576 MiB on disk and 8 MiB in memory.
    pub(crate) fn in_directory(directory: PathBuf) -> Self {
        Self {
            directory,
            max_file_bytes: 64 << 20,
            keep_files: 8,
            queue_bytes: 8 << 20,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// The log, open for appending.
pub(crate) struct Evidence {
    files: Files,
    queue: Queue,
    echo: Option<Echo>,
    node: String,
    next_sequence: u64,
    last_found: Option<u64>,
    retry_after: Duration,
    /// Set while the log cannot be written: when to try again.
    failing: Option<Instant>,
}

/// What a flush came to.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    /// Events written.
    pub(crate) written: u64,
    /// Events that found no room in the queue, since the flush before.
    pub(crate) lost: u64,
    /// Attempts that failed.
    pub(crate) errors: u64,
    /// Set when the log stops being writable, and when it is again.
    pub(crate) change: Option<Change>,
    /// Set once, when the copy on stdout ends because nobody reads it any more.
    pub(crate) echo_ended: bool,
    /// Lines that the copy on stdout left out because its reader is too slow.
    pub(crate) echo_skipped: u64,
}

/// A change of the log's state.
#[derive(Debug)]
pub(crate) enum Change {
    /// It cannot be written; events wait in memory.
    Failing(EvidenceError),
    /// It can be written again.
    Recovered,
}

impl Evidence {
    /// Opens the log, repairs what a crash left, and says so in the log.
    pub(crate) fn open(options: EvidenceOptions, node: &str) -> Result<Self, EvidenceError> {
        let (files, found) =
            Files::open(options.directory, options.max_file_bytes, options.keep_files)?;
        let mut evidence = Self {
            files,
            queue: Queue::new(options.queue_bytes),
            echo: None,
            node: node.to_owned(),
            next_sequence: found.last.map_or(1, |last| last.saturating_add(1)),
            last_found: found.last,
            retry_after: options.retry_after,
            failing: None,
        };
        evidence.tell(found.repairs);
        Ok(evidence)
    }

    /// Copies every line to `sink` too, from now on. A slow or vanished reader there costs lines
    /// there alone.
    pub(crate) fn echo_to(
        &mut self,
        sink: impl Write + Send + 'static,
    ) -> Result<(), EvidenceError> {
        self.echo = Some(Echo::start(sink).map_err(EvidenceError::Echo)?);
        Ok(())
    }

    /// The directory of the log.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.files.directory()
    }

    /// The last number that opening found in the log.
    pub(crate) fn last_found(&self) -> Option<u64> {
        self.last_found
    }

    /// The number that the next event gets.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Whether anything waits to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes an event into the log, under the next number, which is returned. The line is written
    /// by the next [`Self::flush`].
    pub(crate) fn append(&mut self, mut event: Event) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        event.meta.sequence = sequence;
        let about = || Subject::of(&event.kind);
        match line(&event) {
            Ok(line) => {
                if let Some(echo) = &mut self.echo {
                    echo.send(line.clone());
                }
                self.queue.push(sequence, line, about);
            }
            // Only a map with keys that are not text fails, and an event has none; if ever, the
            // log shall say that a number is missing.
            Err(_not_json) => self.queue.push_lost(sequence, about()),
        }
        sequence
    }

    /// Writes what waits. Never fails: what could not be written goes on waiting.
    pub(crate) fn flush(&mut self) -> Flush {
        let mut flush = Flush { lost: self.queue.take_lost(), ..Flush::default() };
        if let Some(echo) = &mut self.echo {
            (flush.echo_ended, flush.echo_skipped) = echo.news();
        }
        if self.failing.is_some_and(|retry| Instant::now() < retry) {
            return flush;
        }
        match self.write_all(&mut flush) {
            Ok(()) => {
                if self.failing.take().is_some() {
                    flush.change = Some(Change::Recovered);
                }
            }
            Err(error) => {
                flush.errors += 1;
                let was_failing = self.failing.replace(Instant::now() + self.retry_after);
                if was_failing.is_none() {
                    flush.change = Some(Change::Failing(error));
                }
            }
        }
        flush
    }

    /// The last flush, tried at once even if the log was failing. What still cannot be written is
    /// lost with the process: the number of events is returned.
    pub(crate) fn close(mut self) -> (Flush, u64) {
        self.failing = self.failing.map(|_| Instant::now());
        let flush = self.flush();
        if let Some(echo) = self.echo.take() {
            echo.close();
        }
        (flush, self.queue.len())
    }

    fn write_all(&mut self, flush: &mut Flush) -> Result<(), EvidenceError> {
        if !self.queue.is_empty() {
            let repairs = self.files.check()?;
            self.tell(repairs);
        }
        while !self.queue.is_empty() {
            let lines: Vec<Vec<u8>> =
                self.queue.batch(BATCH_BYTES).map(|entry| self.rendered(entry)).collect();
            let Written { lines, result } = self.files.append(&lines);
            flush.written += self.queue.remove(lines);
            result?;
        }
        Ok(())
    }

    /// An entry of the queue as a line; a loss becomes an event only here, when it grows no more.
    fn rendered(&self, entry: &Entry) -> Vec<u8> {
        match entry {
            Entry::Line { line, .. } => line.clone(),
            Entry::Lost { first, last, acts } => {
                let kind = Kind::Loss(Loss {
                    place: LossPlace::EvidenceQueue,
                    count: last - first + 1,
                    last_sequence: Some(*last),
                    rule: None,
                    tenant: None,
                    acts: queue::told(acts),
                });
                let mut event = Event::new(Timestamp::now(), &self.node, kind);
                event.meta.sequence = *first;
                line(&event).unwrap_or_default()
            }
        }
    }

    fn tell(&mut self, repairs: Vec<Repaired>) {
        for Repaired { file, removed_bytes, message } in repairs {
            let kind = Kind::Repair(Repair { file: Text::new(file), removed_bytes, message });
            self.append(Event::new(Timestamp::now(), &self.node.clone(), kind));
        }
    }
}

/// Something about a file that was put right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Repaired {
    file: String,
    removed_bytes: u64,
    message: String,
}

fn line(event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests;
