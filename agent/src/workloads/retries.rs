//! What is looked at again: a runtime writes what names a container within milliseconds of its
//! cgroup, before or after.

use std::time::{Duration, Instant};

/// When: what is not there after some seconds will hardly come.
const AFTER: [Duration; 6] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
];

/// A cgroup to look at again.
pub(super) struct Retry {
    pub(super) cgroup: u64,
    pub(super) path: String,
    /// How often it has been looked at.
    pub(super) attempt: usize,
    at: Instant,
}

/// Everything that waits to be looked at again.
#[derive(Default)]
pub(super) struct Retries {
    waiting: Vec<Retry>,
}

impl Retries {
    /// Lets a cgroup wait that has been looked at `attempt` times. `false`: often enough.
    #[must_use]
    pub(super) fn wait(&mut self, cgroup: u64, path: &str, attempt: usize) -> bool {
        let Some(after) = AFTER.get(attempt) else { return false };
        let at = Instant::now() + *after;
        self.waiting.push(Retry { cgroup, path: path.to_owned(), attempt, at });
        true
    }

    /// Takes what is due.
    pub(super) fn due(&mut self) -> Vec<Retry> {
        let now = Instant::now();
        let (due, later) =
            std::mem::take(&mut self.waiting).into_iter().partition(|retry| retry.at <= now);
        self.waiting = later;
        due
    }

    /// A cgroup is gone.
    pub(super) fn forget(&mut self, cgroup: u64) {
        self.waiting.retain(|retry| retry.cgroup != cgroup);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_looked_at_again_a_bounded_number_of_times() {
        let mut retries = Retries::default();
        let asked = (0..100).take_while(|attempt| retries.wait(7, "/a", *attempt)).count();
        assert_eq!(asked, AFTER.len());
        assert!(!retries.waiting.is_empty());
        retries.forget(7);
        assert!(retries.waiting.is_empty());
    }

    #[test]
    fn only_what_is_due_is_taken() {
        let mut retries = Retries::default();
        assert!(retries.wait(7, "/soon", 0));
        assert!(retries.wait(8, "/later", 5));
        std::thread::sleep(AFTER[0] * 2);
        let due: Vec<_> = retries.due().into_iter().map(|retry| retry.cgroup).collect();
        assert_eq!(due, [7]);
    }
}
