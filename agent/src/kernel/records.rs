//! Rings of records, as bytes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};

/// Records of the common ring that are taken before the critical ring is looked at again. One takes
/// the agent some ten to a hundred microseconds.
const TURN: usize = 64;

/// The reading end of a ring.
pub(crate) struct Records {
    ring: RingBuf<MapData>,
}

impl Records {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// Hands every record that is there to `take`, oldest first, and says how many there were. Each
    /// leaves the ring when `take` has returned, so that one that was not done with is still there for the
    /// next agent.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while let Some(record) = self.ring.next() {
            take(&record);
            count += 1;
        }
        count
    }
}

impl AsRawFd for Records {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl AsFd for Records {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// The two rings of verdicts.
pub(crate) struct Verdicts {
    critical: Records,
    other: Records,
}

impl Verdicts {
    pub(super) fn new(critical: RingBuf<MapData>, other: RingBuf<MapData>) -> Self {
        Self { critical: Records::new(critical), other: Records::new(other) }
    }

    /// Hands one turn of records to `take`: every critical one, and then some of the others, and
    /// says how many there were; none means that both rings are empty.
    ///
    /// What happened later is never told before a critical act, so that whoever has read a record
    /// has read everything critical before it.
    pub(crate) fn turn(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = self.critical.drain(&mut take);
        for _ in 0..TURN {
            let Some(record) = self.other.ring.next() else { break };
            count += self.critical.drain(&mut take);
            take(&record);
            count += 1;
        }
        count
    }

    /// Hands every record that is there to `take`.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        loop {
            match self.turn(&mut take) {
                0 => return count,
                more => count += more,
            }
        }
    }
}

/// What becomes readable at a critical record; the others wake nobody.
impl AsFd for Verdicts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.critical.as_fd()
    }
}
