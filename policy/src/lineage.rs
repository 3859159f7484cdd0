//! Which programs the processes of containers executed: names for the lineages of events.
//!
//! A table of bounded size, whatever tenants do: each container may fill its own share, and what a
//! fork bomb pushes out is its own container's. A process id is never enough: with its start it is
//! an identity that no other process ever has.

use std::collections::{HashMap, VecDeque};

use bulkhead_abi as abi;

use crate::decode;

/// Programs that are remembered altogether. Each has some 600 bytes.
pub const MAX_IMAGES: usize = 8_192;
/// Programs of one container, however much room there is.
const MAX_OF_CONTAINER: usize = 512;

/// A process: its id, and its start in clock ticks, which both the kernel side and /proc can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessKey {
    pid: u32,
    ticks: u64,
}

impl ProcessKey {
    /// By the start in nanoseconds since boot.
    pub fn of(pid: u32, start_time: u64) -> Self {
        Self { pid, ticks: start_time / abi::START_TICK }
    }

    /// The start in clock ticks since boot.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// By the start in clock ticks, as in `/proc/PID/stat`.
    pub fn of_ticks(pid: u32, ticks: u64) -> Self {
        Self { pid, ticks }
    }
}

/// A program as a process executed it. The bytes are the tenant's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its path inside its file system.
    pub path: Vec<u8>,
    /// Whether the path's beginning, or a part of one of its names, is missing.
    pub truncated: bool,
    /// The command line, each word with a zero behind it; `None` where it is not known.
    pub arguments: Option<Vec<u8>>,
    /// Whether the command line goes on.
    pub cut: bool,
}

impl Image {
    /// From a record.
    pub fn of(executed: &abi::Executed) -> Self {
        let length = usize::try_from(executed.arguments_length).unwrap_or(usize::MAX);
        let arguments = executed.arguments.get(..length).unwrap_or(&executed.arguments);
        Self {
            path: decode::path(&executed.path, executed.path_start).to_vec(),
            truncated: executed.flags & abi::party_flag::PATH_TRUNCATED != 0,
            arguments: (length > 0).then(|| arguments.to_vec()),
            cut: length > abi::ARGUMENTS_LEN,
        }
    }
}

/// How a process came into its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// It is the container's first.
    Init,
    /// It was put into the running container.
    Exec,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Images {
    containers: HashMap<u64, Container>,
    total: usize,
}

#[derive(Debug, Default)]
struct Container {
    images: HashMap<ProcessKey, (Image, u64)>,
    /// Each image once, oldest first. One that was looked at since goes to the end again.
    order: VecDeque<(ProcessKey, u64)>,
    stamp: u64,
    first: Option<ProcessKey>,
}

impl Images {
    /// A process has executed a program; its parent is worth keeping.
    pub fn executed(&mut self, executed: &abi::Executed) {
        let key = ProcessKey::of(executed.pid, executed.start_time);
        let container = executed.identity.container;
        if executed.parent_pid != 0 {
            let parent = ProcessKey::of(executed.parent_pid, executed.parent_start_time);
            self.touch(container, parent);
        }
        self.insert(container, key, Image::of(executed));
        if executed.entered != 0 {
            self.entered(container, key);
        }
    }

    /// A program of a process of this container.
    pub fn insert(&mut self, container: u64, key: ProcessKey, image: Image) {
        let share = self.share();
        let of = self.containers.entry(container).or_default();
        let before = of.images.len();
        of.insert(key, image);
        while of.images.len() > share && of.evict() {}
        self.total = self.total - before + of.images.len();
        while self.total > MAX_IMAGES && self.evict_from_the_largest() {}
    }

    /// A process is in its container by the runtime's doing, the first of all or not.
    pub fn entered(&mut self, container: u64, key: ProcessKey) {
        self.containers.entry(container).or_default().first.get_or_insert(key);
    }

    /// The program of a process.
    pub fn get(&self, container: u64, key: ProcessKey) -> Option<&Image> {
        self.containers.get(&container)?.images.get(&key).map(|(image, _)| image)
    }

    /// How the process came into the container; `None` where its first one is not known.
    pub fn entry(&self, container: u64, key: ProcessKey) -> Option<Entry> {
        let first = self.containers.get(&container)?.first?;
        Some(if first == key { Entry::Init } else { Entry::Exec })
    }

    /// Forgets containers that nobody needs any more.
    pub fn retain(&mut self, needed: impl Fn(u64) -> bool) {
        self.containers.retain(|container, _| needed(*container));
        self.total = self.containers.values().map(|container| container.images.len()).sum();
    }

    /// Programs that are remembered.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    fn share(&self) -> usize {
        (MAX_IMAGES / self.containers.len().max(1)).clamp(1, MAX_OF_CONTAINER)
    }

    fn touch(&mut self, container: u64, key: ProcessKey) {
        if let Some(of) = self.containers.get_mut(&container) {
            of.stamp += 1;
            if let Some((_, stamp)) = of.images.get_mut(&key) {
                *stamp = of.stamp;
            }
        }
    }

    fn evict_from_the_largest(&mut self) -> bool {
        let largest = self.containers.values_mut().max_by_key(|container| container.images.len());
        let evicted = largest.is_some_and(Container::evict);
        self.total -= usize::from(evicted);
        evicted
    }
}

impl Container {
    fn insert(&mut self, key: ProcessKey, image: Image) {
        self.stamp += 1;
        if self.images.insert(key, (image, self.stamp)).is_none() {
            self.order.push_back((key, self.stamp));
        }
    }

    /// Removes the image that was needed least lately.
    fn evict(&mut self) -> bool {
        // Each place in the order is one image's: a round at most.
        for _ in 0..=self.order.len() {
            let Some((key, placed)) = self.order.pop_front() else { return false };
            match self.images.get(&key) {
                Some((_, stamp)) if *stamp > placed => self.order.push_back((key, *stamp)),
                _ => return self.images.remove(&key).is_some(),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
