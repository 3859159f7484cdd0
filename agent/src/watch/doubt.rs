//! The record that an agent had in hand when it was killed: told already, or still to be told.
//!
//! ```text
//! say which record is in hand, with its number -> tell the log -> let the record go
//! ```
//!
//! Killed between any two of them, the next agent finds the record in its ring, the first of it, and
//! the log at or before its number.

use crate::kernel::InHand;

/// What an agent before may have left undone.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    hand: Option<InHand>,
    /// The last number that the log had when it was opened.
    log: u64,
    /// The record was there again.
    found: bool,
}

impl Doubt {
    /// `log` is the last number in the log; `None` for a log without any, which tells nothing of what was
    /// in it.
    pub(crate) fn new(hand: Option<InHand>, log: Option<u64>) -> Self {
        Self { hand: hand.filter(|_| log.is_some()), log: log.unwrap_or_default(), found: false }
    }

    /// Whether the log has this record already.
    pub(crate) fn is_told(&mut self, time: u64, task: u32) -> bool {
        let same = |hand: &InHand| hand.time == time && hand.task == task;
        match self.hand.filter(same) {
            Some(hand) => {
                self.found = true;
                hand.sequence <= self.log
            }
            None => false,
        }
    }

    /// Once the first records of both rings have been looked at: how many events had a number, and are
    /// neither in the log nor in a ring.
    pub(crate) fn settle(&mut self) -> u64 {
        let Some(hand) = self.hand.take() else { return 0 };
        hand.sequence.saturating_sub(self.log).saturating_sub(u64::from(self.found))
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
        assert_eq!(doubt.settle(), 0);
        assert!(!doubt.is_told(500, 7), "the doubt is over");
    }

    #[test]
    fn a_record_that_the_log_has_not_is_told_and_was_not_lost() {
        let mut doubt = Doubt::new(Some(HAND), Some(11));
        assert!(!doubt.is_told(500, 7));
        assert_eq!(doubt.settle(), 0);
    }

    #[test]
    fn what_waited_for_a_log_that_could_not_be_written_was_lost() {
        let mut gone = Doubt::new(Some(HAND), Some(9));
        assert!(!gone.is_told(900, 7));
        assert_eq!(gone.settle(), 3);
        let mut there = Doubt::new(Some(HAND), Some(9));
        assert!(!there.is_told(500, 7));
        assert_eq!((there.settle(), there.settle()), (2, 0));
    }

    #[test]
    fn a_log_that_is_new_or_went_on_leaves_no_doubt() {
        for log in [None, Some(12), Some(40)] {
            assert_eq!(Doubt::new(Some(HAND), log).settle(), 0);
        }
        assert_eq!(Doubt::new(None, Some(3)).settle(), 0);
    }
}
