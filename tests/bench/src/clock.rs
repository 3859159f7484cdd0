//! Time, and what is made of it.

use anyhow::{Context, Result, ensure};
use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime},
};

/// Rounds of each operation; the median of an odd number is one of them. A round is to be a tenth of the
/// 4 ms from one timer interrupt to the next, or as little as the operation lets it: then the figure in
/// the middle is that of a round without one, and without what else runs on such an occasion.
const ROUNDS: usize = 201;

/// Nanoseconds per operation, one figure for each round.
#[derive(Debug)]
pub(crate) struct Measure(Vec<f64>);

impl Measure {
    /// Times a loop of `count` operations, round by round; the first round warms up and is left
    /// out.
    pub(crate) fn of_loop(count: u32, mut operation: impl FnMut() -> Result<()>) -> Result<Self> {
        Self::of_rounds(|| {
            let begun = now()?;
            for _ in 0..count {
                operation()?;
            }
            Ok((now()? - begun) / f64::from(count))
        })
    }

    /// Times operations that each need some untimed work around them. `operation` returns the time
    /// that it took itself, by `now`; what reading the clock costs is taken off.
    pub(crate) fn of_each(count: u32, mut operation: impl FnMut() -> Result<f64>) -> Result<Self> {
        let reading = Self::of_rounds(|| {
            let begun = now()?;
            Ok(now()? - begun)
        })?;
        let reading = reading.median();
        Self::of_rounds(|| {
            let mut total = 0.0;
            for _ in 0..count {
                total += operation()? - reading;
            }
            Ok(total / f64::from(count))
        })
    }

    fn of_rounds(mut round: impl FnMut() -> Result<f64>) -> Result<Self> {
        round()?;
        let mut rounds = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>>>()?;
        ensure!(rounds.iter().all(|ns| *ns >= 0.0), "the clock went backwards: {rounds:?}");
        rounds.sort_by(f64::total_cmp);
        Ok(Self(rounds))
    }

    /// The figure in the middle.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    /// All figures, the smallest first.
    pub(crate) fn rounds(&self) -> &[f64] {
        &self.0
    }
}

/// Nanoseconds since some fixed moment.
pub(crate) fn now() -> Result<f64> {
    Ok(nanoseconds(clock_gettime(ClockId::CLOCK_MONOTONIC).context("cannot read the clock")?))
}

/// A time in nanoseconds.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn nanoseconds(time: TimeSpec) -> f64 {
    // 2^53 nanoseconds are 104 days: exact for any machine that runs this.
    time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_a_round_that_an_interrupt_made_dear() {
        let mut figures = [5.0, 1.0, 2.0, 900.0, 3.0].into_iter().chain(std::iter::repeat(2.0));
        let measure = Measure::of_rounds(|| Ok(figures.next().unwrap())).unwrap();
        assert_eq!(measure.median(), 2.0);
        assert_eq!(measure.rounds().len(), ROUNDS);
    }

    #[test]
    fn untimed_work_is_not_counted() {
        let measure = Measure::of_each(2, || Ok(1e9)).unwrap();
        assert!((0.9e9..=1e9).contains(&measure.median()), "{measure:?}");
    }

    #[test]
    fn a_failing_operation_is_an_error_not_a_figure() {
        assert!(Measure::of_loop(1, || anyhow::bail!("no")).is_err());
    }
}
