//! What a process was started with, for lineages.

use super::{MM_ARG_END, MM_ARG_START, TaskAddress, read_at};

impl TaskAddress {
    /// Where its command line begins and ends in its memory.
    #[inline(always)]
    pub fn arguments(self) -> (u64, u64) {
        let memory = self.memory();
        (read_at(memory, MM_ARG_START), read_at(memory, MM_ARG_END))
    }
}
