//! What waits to be written: bounded, in order, without a gap in its numbers.

use std::collections::{BTreeMap, VecDeque};

use bulkhead_policy::event::{Kind, LostActs, Text};

/// Tenants and rules whose losses one line tells apart.
const MAX_SUBJECTS: usize = 256;

/// What a lost act was about: its rule, and its actor's tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    rule: &'static str,
    tenant: Option<String>,
}

impl Subject {
    /// `None` where the event is no act.
    pub(super) fn of(kind: &Kind) -> Option<Self> {
        let Kind::Act(act) = kind else { return None };
        let tenant = act.actor.tenant.as_ref().map(ToString::to_string);
        Some(Self { rule: act.rule.id, tenant })
    }
}

/// One place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A line.
    Line { sequence: u64, line: Vec<u8> },
    /// Lines for which there was no room. One line will tell of all of them.
    Lost { first: u64, last: u64, acts: BTreeMap<Subject, u64> },
}

/// The acts among lost lines, as their event tells them.
pub(super) fn told(acts: &BTreeMap<Subject, u64>) -> Vec<LostActs> {
    let told = |(subject, count): (&Subject, &u64)| LostActs {
        rule: subject.rule,
        tenant: subject.tenant.as_deref().map(Text::new),
        count: *count,
    };
    acts.iter().map(told).collect()
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    limit: usize,
    lost: u64,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit, lost: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Events that wait, those that a loss entry stands for not counted.
    pub(super) fn len(&self) -> u64 {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Line { .. })).count() as u64
    }

    /// Adds a line, or its loss where there is no room: the older lines stay, because the first
    /// ones of an incident tell how it began.
    pub(super) fn push(
        &mut self,
        sequence: u64,
        line: Vec<u8>,
        about: impl FnOnce() -> Option<Subject>,
    ) {
        if self.bytes + line.len() > self.limit {
            return self.push_lost(sequence, about());
        }
        self.bytes += line.len();
        self.entries.push_back(Entry::Line { sequence, line });
    }

    /// Adds the loss of a line.
    pub(super) fn push_lost(&mut self, sequence: u64, about: Option<Subject>) {
        self.lost += 1;
        if !matches!(self.entries.back(), Some(Entry::Lost { .. })) {
            let acts = BTreeMap::new();
            self.entries.push_back(Entry::Lost { first: sequence, last: sequence, acts });
        }
        let Some(Entry::Lost { last, acts, .. }) = self.entries.back_mut() else { return };
        *last = sequence;
        if let Some(about) = about
            && (acts.len() < MAX_SUBJECTS || acts.contains_key(&about))
        {
            *acts.entry(about).or_default() += 1;
        }
    }

    /// How many lines were lost since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The first entries, of about `bytes` bytes together; at least one where there is one.
    pub(super) fn batch(&self, bytes: usize) -> impl Iterator<Item = &Entry> {
        let mut sum = 0;
        self.entries.iter().take_while(move |entry| {
            let first = sum == 0;
            sum += entry.size().max(1);
            first || sum <= bytes
        })
    }

    /// Removes the first `count` entries, which are written; says how many were events.
    pub(super) fn remove(&mut self, count: usize) -> u64 {
        let mut events = 0;
        for entry in self.entries.drain(..count.min(self.entries.len())) {
            self.bytes -= entry.size();
            events += u64::from(matches!(entry, Entry::Line { .. }));
        }
        events
    }
}

impl Entry {
    fn size(&self) -> usize {
        match self {
            Self::Line { line, .. } => line.len(),
            Self::Lost { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(queue: &Queue) -> Vec<(u64, u64)> {
        let range = |entry: &Entry| match entry {
            Entry::Line { sequence, .. } => (*sequence, *sequence),
            Entry::Lost { first, last, .. } => (*first, *last),
        };
        queue.batch(usize::MAX).map(range).collect()
    }

    #[test]
    fn what_finds_no_room_is_told_in_its_place() {
        let mut queue = Queue::new(10);
        queue.push(1, vec![b'a'; 4], || None);
        queue.push(2, vec![b'b'; 4], || None);
        queue.push(3, vec![b'c'; 4], || None);
        queue.push(4, vec![b'd'; 4], || None);
        assert_eq!(numbers(&queue), [(1, 1), (2, 2), (3, 4)]);
        assert_eq!((queue.take_lost(), queue.take_lost()), (2, 0));
        assert_eq!(queue.remove(1), 1);
        queue.push(5, vec![b'e'; 4], || None);
        queue.push(6, vec![b'f'; 4], || None);
        assert_eq!(numbers(&queue), [(2, 2), (3, 4), (5, 5), (6, 6)]);
        assert_eq!(queue.remove(4), 2, "a loss is no event");
        assert!(queue.is_empty());
        queue.push(7, vec![b'g'; 10], || None);
        assert_eq!(queue.len(), 1, "the room came back with what was removed");
    }

    #[test]
    fn a_batch_is_bounded_and_never_empty() {
        let mut queue = Queue::new(100);
        for sequence in 1..=5 {
            queue.push(sequence, vec![b'a'; 10], || None);
        }
        assert_eq!(queue.batch(25).count(), 2);
        assert_eq!(queue.batch(1).count(), 1);
        assert_eq!(queue.batch(1_000).count(), 5);
    }

    #[test]
    fn lost_acts_are_told_by_tenant_and_rule_and_bounded() {
        let about = |tenant: &str| Some(Subject { rule: "BH-A", tenant: Some(tenant.to_owned()) });
        let mut queue = Queue::new(0);
        for (sequence, tenant) in (1..).zip(["a", "b", "a"]) {
            queue.push(sequence, vec![b'x'], || about(tenant));
        }
        queue.push_lost(4, None);
        for sequence in 5..1_000 {
            queue.push_lost(sequence, about(&sequence.to_string()));
        }
        let Some(Entry::Lost { first: 1, last: 999, acts }) = queue.batch(1).next() else {
            panic!("{queue:?}");
        };
        assert_eq!(acts.len(), MAX_SUBJECTS);
        let of = |tenant| acts.get(&about(tenant).unwrap()).copied();
        assert_eq!((of("a"), of("b"), of("5")), (Some(2), Some(1), Some(1)));
        assert_eq!(told(acts).iter().map(|acts| acts.count).sum::<u64>(), MAX_SUBJECTS as u64 + 1);
    }
}
