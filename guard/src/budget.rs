//! How many records a tenant may send, so that a flood of one hides nothing of another.
//!
//! A purse is one number, the time at which it will be full again: a record moves it on by its
//! price, and there is none where that would be further ahead than the purse is large. So one
//! compare-and-swap is the whole of spending, and nothing has to be refilled.

const SECOND: u64 = 1_000_000_000;

/// A size and a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Nanoseconds that one record costs.
    price: u64,
    /// How far ahead of now an empty purse is.
    room: u64,
}

impl Budget {
    /// `burst` records at once and `rate` a second.
    const fn new(burst: u64, rate: u64) -> Self {
        let price = SECOND / rate;
        Self { price, room: price * burst }
    }

    /// What a tenant's critical records may take.
    pub const CRITICAL: Self = Self::new(128, 64);
    /// What all its other records may take.
    pub const OTHER: Self = Self::new(256, 64);
    /// What is kept for each rule beside: however much a tenant does of one thing, the first time
    /// that it does another is told.
    pub const FIRST: Self = Self::new(64, 2);

    /// The purse after a record at `now`; `None` where the record has to stay behind.
    #[inline(always)]
    pub const fn spend(self, purse: u64, now: u64) -> Option<u64> {
        let from = if purse > now { purse } else { now };
        let after = from + self.price;
        if after - now > self.room { None } else { Some(after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `records` at these times go through.
    fn sent(budget: Budget, times: impl IntoIterator<Item = u64>) -> u64 {
        let mut purse = 0;
        let mut sent = 0;
        for now in times {
            if let Some(after) = budget.spend(purse, now) {
                purse = after;
                sent += 1;
            }
        }
        sent
    }

    #[test]
    fn a_burst_goes_through_and_no_more() {
        assert_eq!(sent(Budget::CRITICAL, [5 * SECOND; 1_000]), 128);
        assert_eq!(sent(Budget::OTHER, [5 * SECOND; 1_000]), 256);
        assert_eq!(sent(Budget::FIRST, [5 * SECOND; 1_000]), 64);
    }

    #[test]
    fn a_flood_goes_on_at_the_rate() {
        // A hundred thousand in ten seconds.
        let flood = (0..100_000).map(|n| SECOND + n * 100_000);
        assert_eq!(sent(Budget::CRITICAL, flood), 128 + 10 * 64 - 1);
    }

    #[test]
    fn a_quiet_tenant_has_no_more_than_a_full_purse() {
        let late = [1_000 * SECOND; 500];
        assert_eq!(sent(Budget::CRITICAL, [0; 500].into_iter().chain(late)), 256);
    }
}
