//! From which processes of its container an actor comes.

use bulkhead_abi as abi;
use bulkhead_abi::lineage_flag;
use serde::Serialize;

use super::{Names, Text};
use crate::{
    decode,
    lineage::{Entry, Image, ProcessKey},
};

/// The chain from the process that entered the container down to the actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lineage {
    /// How sure it is.
    pub origin: Origin,
    /// How the first one came into the container; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
    /// Processes that are left out after the first.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: u32,
    /// The first one first, the actor last.
    pub processes: Vec<Step>,
    #[serde(skip)]
    container: u64,
}

/// How sure a lineage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// As each was born, whatever has become of it.
    Births,
    /// As the kernel's parents stood when the agent began, and as each was born since: ancestors
    /// that had ended before are not in it.
    Adopted,
    /// Not known; only the actor is told.
    Unknown,
}

/// One process of a lineage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its process id.
    pub pid: u32,
    /// Its start, nanoseconds since boot.
    pub start_time: u64,
    /// Its name when the next one was born; for the actor, when it acted.
    pub comm: Text,
    /// The path of its program inside its file system; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<Text>,
    /// Its command line; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Vec<Text>>,
    /// Whether the command line goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub arguments_cut: bool,
    /// It has executed nothing itself.
    #[serde(skip)]
    forked: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Lineage {
    /// Of an actor.
    pub(super) fn new(actor: &abi::Party, lineage: &abi::Lineage, names: &dyn Names) -> Self {
        let origin = if lineage.flags & lineage_flag::ADOPTED != 0 {
            Origin::Adopted
        } else if lineage.flags & lineage_flag::WHOLE != 0 {
            Origin::Births
        } else {
            Origin::Unknown
        };
        let known = origin != Origin::Unknown;
        let above = if known { ancestors(lineage) } else { Vec::new() };
        let told = u32::try_from(above.len()).unwrap_or(u32::MAX);
        let omitted = if known { lineage.depth.saturating_sub(told) } else { 0 };
        let mut processes: Vec<Step> = above.iter().map(Step::of).collect();
        let forked = known && lineage.flags & lineage_flag::EXECUTED == 0;
        processes.push(Step::actor(actor, forked));
        let container = actor.identity.container;
        let mut told = Self { origin, entry: None, omitted, processes, container };
        told.fill(names);
        told
    }

    /// Fills in what is known meanwhile: what a process executed may become known after its act.
    pub fn fill(&mut self, names: &dyn Names) {
        if self.origin != Origin::Unknown {
            let first = self.processes.first().map(Step::key);
            self.entry = first.and_then(|first| names.entry(self.container, first));
        }
        let mut inherited = None;
        for (at, step) in self.processes.iter_mut().enumerate() {
            if at == 1 && self.omitted > 0 {
                // What those between have executed is not known here.
                inherited = None;
            }
            let own = names.image(self.container, step.key());
            // Without a program of its own it runs its parent's.
            let image = if step.forked { own.or(inherited) } else { own };
            step.fill(image);
            inherited = image;
        }
    }
}

/// The first one first.
fn ancestors(lineage: &abi::Lineage) -> Vec<abi::Ancestor> {
    let depth = usize::try_from(lineage.depth).unwrap_or(usize::MAX);
    let near = lineage.nearest.get(..depth).unwrap_or(&lineage.nearest);
    let mut above: Vec<abi::Ancestor> = near.iter().rev().copied().collect();
    if depth > near.len() {
        above.insert(0, lineage.first);
    }
    above
}

impl Step {
    fn of(ancestor: &abi::Ancestor) -> Self {
        let forked = ancestor.flags & lineage_flag::EXECUTED == 0;
        let comm = decode::zero_filled(&ancestor.comm);
        Self::new(ancestor.pid, ancestor.start_time, comm, forked)
    }

    fn actor(actor: &abi::Party, forked: bool) -> Self {
        let comm = decode::zero_filled(&actor.comm);
        let mut step = Self::new(actor.pid, actor.start_time, comm, forked);
        step.binary = Some(Text::new(decode::path(&actor.path, actor.path_start)));
        step
    }

    fn new(pid: u32, start_time: u64, comm: &[u8], forked: bool) -> Self {
        Self {
            pid,
            start_time,
            comm: Text::new(comm),
            binary: None,
            arguments: None,
            arguments_cut: false,
            forked,
        }
    }

    fn key(&self) -> ProcessKey {
        ProcessKey::of(self.pid, self.start_time)
    }

    fn fill(&mut self, image: Option<&Image>) {
        let Some(image) = image else { return };
        // An actor's own comes with its record.
        self.binary.get_or_insert_with(|| Text::new(&image.path));
        self.arguments = image.arguments.as_deref().map(words);
        self.arguments_cut = image.cut;
    }
}

/// The words of a command line.
fn words(bytes: &[u8]) -> Vec<Text> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes.split(|byte| *byte == 0).map(Text::new).collect()
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;
    use crate::lineage::Images;

    struct Table(Images);

    impl Names for Table {
        fn tenant(&self, _number: u32) -> Option<&str> {
            None
        }
        fn pod(&self, _cgroup: u64) -> Option<&super::super::Pod> {
            None
        }
        fn container(&self, _cgroup: u64) -> Option<&super::super::Container> {
            None
        }
        fn image(&self, container: u64, process: ProcessKey) -> Option<&Image> {
            self.0.get(container, process)
        }
        fn entry(&self, container: u64, process: ProcessKey) -> Option<Entry> {
            self.0.entry(container, process)
        }
    }

    const START: u64 = 1_000_000_000;

    fn ancestor(pid: u32, flags: u32) -> abi::Ancestor {
        let start_time = START + u64::from(pid);
        abi::Ancestor { start_time, pid, flags, comm: *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0" }
    }

    fn actor(pid: u32) -> abi::Party {
        let mut party = abi::Party::new_zeroed();
        (party.pid, party.start_time) = (pid, START + u64::from(pid));
        party.identity.container = 9;
        party
    }

    fn table(pids: impl IntoIterator<Item = u32>) -> Table {
        let mut images = Images::default();
        for pid in pids {
            let arguments = Some(format!("sh\0{pid}\n\0").into_bytes());
            let image = Image { path: b"/bin/sh".to_vec(), arguments, ..Image::default() };
            images.insert(9, ProcessKey::of(pid, START + u64::from(pid)), image);
        }
        Table(images)
    }

    fn last_words(lineage: &Lineage) -> Vec<&str> {
        lineage
            .processes
            .iter()
            .map(|step| match &step.arguments {
                Some(words) => words.last().map_or("", Text::as_str),
                None => "?",
            })
            .collect()
    }

    #[test]
    fn a_process_that_executed_nothing_runs_its_parent_s_program() {
        let mut lineage = abi::Lineage::new_zeroed();
        (lineage.depth, lineage.flags) = (2, lineage_flag::WHOLE);
        lineage.nearest[0] = ancestor(11, 0);
        lineage.nearest[1] = ancestor(10, lineage_flag::EXECUTED);
        lineage.first = lineage.nearest[1];
        let told = Lineage::new(&actor(12), &lineage, &table([10]));
        assert_eq!(last_words(&told), [r"10\x0a"; 3]);
        // Each that has is not known, and nobody's program is put in its place.
        lineage.nearest[0].flags = lineage_flag::EXECUTED;
        lineage.flags |= lineage_flag::EXECUTED;
        let mut told = Lineage::new(&actor(12), &lineage, &table([10]));
        assert_eq!(last_words(&told), [r"10\x0a", "?", "?"]);
        // It becomes known after the act.
        told.fill(&table([10, 11, 12]));
        assert_eq!(last_words(&told), [r"10\x0a", r"11\x0a", r"12\x0a"]);
    }

    #[test]
    fn of_more_than_there_is_room_for_the_first_and_the_nearest_are_told() {
        let mut lineage = abi::Lineage::new_zeroed();
        (lineage.depth, lineage.flags) = (30, lineage_flag::WHOLE);
        lineage.first = ancestor(1, lineage_flag::EXECUTED);
        for (at, place) in lineage.nearest.iter_mut().enumerate() {
            *place = ancestor(30 - u32::try_from(at).unwrap(), 0);
        }
        let told = Lineage::new(&actor(31), &lineage, &table([1]));
        let pids: Vec<u32> = told.processes.iter().map(|step| step.pid).collect();
        assert_eq!(pids, [1, 23, 24, 25, 26, 27, 28, 29, 30, 31]);
        assert_eq!(told.omitted, 21);
        assert_eq!(last_words(&told)[1], "?", "somebody between may have executed another");
        // Any number at all is read.
        lineage.depth = u32::MAX;
        assert_eq!(Lineage::new(&actor(31), &lineage, &table([1])).processes.len(), 10);
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let mut lineage = abi::Lineage::new_zeroed();
        lineage.depth = 1;
        lineage.nearest[0] = ancestor(10, lineage_flag::EXECUTED);
        let told = Lineage::new(&actor(11), &lineage, &table([10]));
        assert_eq!((told.origin, told.entry, told.processes.len()), (Origin::Unknown, None, 1));
    }
}
