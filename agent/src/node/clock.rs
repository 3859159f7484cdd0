//! The kernel's time stamps -> the wall clock.

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

/// How often the pair of clocks is read; the closest pair counts.
const ATTEMPTS: usize = 5;

/// Why the wall clock is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClockError {
    /// A clock could not be read.
    #[error("cannot read the clock {name}")]
    Read {
        /// The clock.
        name: &'static str,
        /// Why.
        #[source]
        source: nix::Error,
    },
    /// The wall clock is outside of what a calendar holds.
    #[error("the wall clock and the time since boot do not make a date: set the node's clock")]
    NoDate(#[source] jiff::Error),
}

/// The wall clock's time at which CLOCK_BOOTTIME was zero: add a record's time to it.
///
/// CLOCK_BOOTTIME counts suspended time too, so a suspend does not shift it; setting the wall clock
/// does. Call it again from time to time, not for each record.
pub(crate) fn boot_time() -> Result<Timestamp, ClockError> {
    let mut best: Option<(SignedDuration, Timestamp)> = None;
    for _ in 0..ATTEMPTS {
        let before = read("CLOCK_BOOTTIME", ClockId::CLOCK_BOOTTIME)?;
        let wall = read("CLOCK_REALTIME", ClockId::CLOCK_REALTIME)?;
        let after = read("CLOCK_BOOTTIME", ClockId::CLOCK_BOOTTIME)?;
        let width = after - before;
        if best.is_none_or(|(narrowest, _)| width < narrowest) {
            let zero = wall - before - width / 2;
            let zero = Timestamp::from_duration(zero).map_err(ClockError::NoDate)?;
            best = Some((width, zero));
        }
    }
    // The loop above ran at least once.
    Ok(best.map_or(Timestamp::UNIX_EPOCH, |(_, zero)| zero))
}

/// Now, by the clock of the kernel's time stamps: nanoseconds since boot.
pub(crate) fn since_boot() -> Result<u64, ClockError> {
    let now = read("CLOCK_BOOTTIME", ClockId::CLOCK_BOOTTIME)?;
    // A clock that counts from the boot is not negative and does not overflow in 500 years.
    Ok(u64::try_from(now.as_nanos()).unwrap_or_default())
}

fn read(name: &'static str, clock: ClockId) -> Result<SignedDuration, ClockError> {
    let time = clock_gettime(clock).map_err(|source| ClockError::Read { name, source })?;
    let nanoseconds = i32::try_from(time.tv_nsec()).unwrap_or_default();
    Ok(SignedDuration::new(time.tv_sec(), nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_plus_the_time_since_boot_is_now() {
        let since_boot = read("CLOCK_BOOTTIME", ClockId::CLOCK_BOOTTIME).unwrap();
        let now = boot_time().unwrap() + since_boot;
        let error = now.duration_until(Timestamp::now()).abs();
        assert!(error < SignedDuration::from_secs(1), "{error:?}");
    }
}
