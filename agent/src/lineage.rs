//! Which programs the processes of containers run, for the lineages of events.
//!
//! The chain itself comes with each act from the kernel side; what comes here is the command line
//! and the program of each process in it: from the kernel side's ring as they are executed, and
//! from /proc for those that ran before the agent did, or whose records found no room.

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use bulkhead_policy::{
    decode::{self, DecodeError, Record},
    event::{Container, Names, Owner, Pod},
    lineage::{Entry, Image, Images, ProcessKey},
};

use crate::{
    kernel::Records,
    respond::{Reader, members},
    workloads::Workloads,
};

/// How long the start waits for what runs already; the rest comes later.
const WAIT_AT_START: Duration = Duration::from_secs(1);
/// How often /proc is read again, at most.
const READ_AGAIN: Duration = Duration::from_secs(10);
/// Time for one process.
const PATIENCE: Duration = Duration::from_millis(300);
/// Processes of one container that are looked up in /proc.
const MAX_PROCESSES: usize = 512;

/// See the module.
pub(crate) struct Lineages {
    ring: Records,
    images: Images,
    found: Option<Receiver<Found>>,
    reading: Readings,
    lost: u64,
}

/// When /proc is read again: after a loss, but not all the time.
#[derive(Debug)]
struct Readings {
    last: Instant,
    owed: bool,
}

impl Readings {
    /// Whether it is time. A loss that comes too soon after a reading is made good later.
    fn due(&mut self, lost: bool, now: Instant) -> bool {
        self.owed |= lost;
        let due = self.owed && now.saturating_duration_since(self.last) > READ_AGAIN;
        if due {
            (self.last, self.owed) = (now, false);
        }
        due
    }
}

/// What /proc says of one process.
struct Found {
    container: u64,
    key: ProcessKey,
    image: Image,
    first: bool,
}

/// The workload table and the programs: all that an event is named by.
pub(crate) struct Known<'a> {
    workloads: &'a Workloads,
    images: &'a Images,
}

impl Lineages {
    /// Begins with what runs in the containers that are there.
    pub(crate) fn start(ring: Records, workloads: &Workloads) -> Self {
        let found = read_proc(workloads);
        let reading = Readings { last: Instant::now(), owed: false };
        let mut lineages = Self { ring, images: Images::default(), found, reading, lost: 0 };
        let until = Instant::now() + WAIT_AT_START;
        while let Some(found) = &lineages.found {
            match found.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(found) => lineages.take(found),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => lineages.found = None,
            }
        }
        lineages
    }

    /// Takes in what has come. What cannot be read is returned with its length.
    pub(crate) fn drain(&mut self) -> Vec<(DecodeError, usize)> {
        let mut malformed = Vec::new();
        let images = &mut self.images;
        self.ring.drain(|bytes| match decode::decode(bytes) {
            Ok(Record::Executed(executed)) if executed.identity.container != 0 => {
                images.executed(&executed);
            }
            // Of a cgroup that is no container's: there is nobody to ask for it.
            Ok(Record::Executed(_)) => {}
            Ok(_) => tracing::error!("another record came through the ring of executed programs"),
            Err(error) => malformed.push((error, bytes.len())),
        });
        let arrived: Vec<Found> = self.found.iter().flat_map(Receiver::try_iter).collect();
        arrived.into_iter().for_each(|found| self.take(found));
        malformed
    }

    /// Forgets containers that are gone, and reads /proc where records were lost. How many more
    /// were.
    pub(crate) fn tick(&mut self, workloads: &Workloads, lost: u64) -> u64 {
        self.images.retain(|container| workloads.container(container).is_some());
        if self.reading.due(lost > self.lost, Instant::now()) {
            self.found = read_proc(workloads);
        }
        let more = lost.saturating_sub(self.lost);
        self.lost = lost;
        more
    }

    /// What events are named by.
    pub(crate) fn names<'a>(&'a self, workloads: &'a Workloads) -> Known<'a> {
        Known { workloads, images: &self.images }
    }

    fn take(&mut self, found: Found) {
        let Found { container, key, image, first } = found;
        // The kernel's word came earlier and is more: it has the path inside the file system.
        if self.images.get(container, key).is_none() {
            self.images.insert(container, key, image);
        }
        if first {
            self.images.entered(container, key);
        }
    }
}

/// Reads the processes of all containers beside the agent's loop: a tenant can hold up whoever
/// reads a command line.
fn read_proc(workloads: &Workloads) -> Option<Receiver<Found>> {
    let containers: Vec<(u64, PathBuf)> = workloads
        .listed()
        .iter()
        .map(|listed| {
            let directory = workloads.tree().full_path(std::path::Path::new(listed.path));
            (listed.cgroup, directory)
        })
        .collect();
    if containers.is_empty() {
        return None;
    }
    let (sender, found) = channel();
    let started = thread::Builder::new().name("lineages".to_owned()).spawn(move || {
        let mut reader = Reader::with_patience(PATIENCE);
        for (container, directory) in containers {
            for found in read_container(container, &directory, &mut reader) {
                if sender.send(found).is_err() {
                    return;
                }
            }
        }
    });
    match started {
        Ok(_detached) => Some(found),
        Err(error) => {
            tracing::warn!(%error, "what runs already is not known by its command lines");
            None
        }
    }
}

fn read_container(container: u64, directory: &std::path::Path, reader: &mut Reader) -> Vec<Found> {
    // One that has ended meanwhile has no processes.
    let pids = members(directory, &mut Vec::new()).unwrap_or_default();
    let mut found: Vec<Found> = pids
        .into_iter()
        .take(MAX_PROCESSES)
        .filter_map(|pid| {
            let told = reader.image(pid)?;
            let key = ProcessKey::of_ticks(pid, told.start_ticks);
            let image = Image {
                path: told.path,
                truncated: false,
                arguments: told.arguments,
                cut: told.cut,
            };
            Some(Found { container, key, image, first: false })
        })
        .collect();
    let first = found.iter_mut().min_by_key(|found| found.key.ticks());
    if let Some(first) = first {
        first.first = true;
    }
    found
}

impl Names for Known<'_> {
    fn tenant(&self, number: u32) -> Option<&str> {
        self.workloads.tenant(number)
    }

    fn pod(&self, cgroup: u64) -> Option<&Pod> {
        self.workloads.pod(cgroup)
    }

    fn container(&self, cgroup: u64) -> Option<&Container> {
        self.workloads.container(cgroup)
    }

    fn owner(&self, cgroup: u64) -> Option<Owner<'_>> {
        self.workloads.owner(cgroup)
    }

    fn image(&self, container: u64, process: ProcessKey) -> Option<&Image> {
        self.images.get(container, process)
    }

    fn entry(&self, container: u64, process: ProcessKey) -> Option<Entry> {
        self.images.entry(container, process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_right_after_a_reading_is_made_good_later() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut readings = Readings { last: begun, owed: false };
        assert!(!readings.due(false, after(11)), "nothing was lost");
        assert!(!readings.due(true, after(5)), "too soon");
        assert!(!readings.due(false, after(9)));
        assert!(readings.due(false, after(12)));
        assert!(!readings.due(false, after(30)), "once");
        assert!(readings.due(true, after(40)));
    }
}
