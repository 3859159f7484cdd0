//! What an agent that is killed may leave undone, and how the next one knows.
//!
//! ```text
//! say which record is in hand, with its number -> tell the log -> let the record go
//!                                                 it cannot be written: say that one more waits
//! ```
//!
//! Killed between any two of them, the next agent finds the record in its ring, the first of it, and
//! the log at or before its number. What waited in the memory of the one before is lost.

use std::collections::BTreeMap;

use crate::kernel::InHand;

/// The record that an agent before had in hand.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    hand: Option<InHand>,
    /// The last number that the log had when it was opened.
    log: u64,
}

impl Doubt {
    /// `log` is the last number in the log.
    pub(crate) fn new(hand: Option<InHand>, log: Option<u64>) -> Self {
        Self { hand, log: log.unwrap_or_default() }
    }

    /// Whether the log has this record already.
    pub(crate) fn is_told(&self, time: u64, task: u32) -> bool {
        self.hand
            .is_some_and(|hand| (hand.time, hand.task) == (time, task) && hand.sequence <= self.log)
    }

    /// The first records of both rings have been looked at.
    pub(crate) fn end(&mut self) {
        self.hand = None;
    }
}

/// Acts that are in no ring any more and not in the log yet, by tenant and rule: while the log cannot
/// be written.
#[derive(Debug, Default)]
pub(crate) struct Waiting(BTreeMap<(u32, u16), u64>);

impl Waiting {
    /// One more; how many there are of its tenant and rule.
    pub(crate) fn add(&mut self, tenant: u32, rule: u16) -> u64 {
        let count = self.0.entry((tenant, rule)).or_default();
        *count += 1;
        *count
    }

    /// So many were left by an agent that was killed.
    pub(crate) fn take_over(&mut self, tenant: u32, rule: u16, count: u64) {
        self.0.insert((tenant, rule), count);
    }

    /// All are written: whose they were.
    pub(crate) fn end(&mut self) -> impl Iterator<Item = (u32, u16)> + use<> {
        std::mem::take(&mut self.0).into_keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAND: InHand = InHand { time: 500, task: 7, sequence: 12 };

    #[test]
    fn a_record_that_the_log_has_is_not_told_again() {
        let mut doubt = Doubt::new(Some(HAND), Some(12));
        assert!(doubt.is_told(500, 7));
        assert!(!doubt.is_told(501, 7) && !doubt.is_told(500, 8));
        doubt.end();
        assert!(!doubt.is_told(500, 7));
    }

    #[test]
    fn a_record_that_the_log_has_not_is_told() {
        for log in [Some(11), None] {
            assert!(!Doubt::new(Some(HAND), log).is_told(500, 7));
        }
    }

    #[test]
    fn what_waits_is_counted_by_tenant_and_rule_until_it_is_written() {
        let mut waiting = Waiting::default();
        assert_eq!((waiting.add(1, 2), waiting.add(1, 2), waiting.add(1, 3)), (1, 2, 1));
        assert_eq!(waiting.end().collect::<Vec<_>>(), [(1, 2), (1, 3)]);
        assert_eq!(waiting.add(1, 2), 1);
        waiting.take_over(1, 4, 10);
        assert_eq!(waiting.add(1, 4), 11, "beside what an agent before has left");
    }
}
