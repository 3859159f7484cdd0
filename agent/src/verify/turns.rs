//! Whose turn it is to be looked at.

use std::collections::{HashSet, VecDeque};

/// Every container has its turn in this many ticks of a second. With one more to confirm, a container that is
/// loosened is told within five seconds.
const TICKS: usize = 3;
/// A process takes some 300,000 instructions: once so many were looked at, the others wait for the next tick, and a
/// round takes longer,
const PROCESSES: usize = 24;
/// but never longer than this.
const MOST_TICKS: usize = 15;

/// Containers in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Turns(VecDeque<u64>);

impl Turns {
    /// Has those of the containers that are there looked at whose turn it is in this tick. `look` says how many
    /// processes it has looked at.
    pub(super) fn tick(&mut self, present: &HashSet<u64>, mut look: impl FnMut(u64) -> usize) {
        self.0.retain(|id| present.contains(id));
        if self.0.len() < present.len() {
            let known: HashSet<u64> = self.0.iter().copied().collect();
            self.0.extend(present.difference(&known));
        }
        let least = self.0.len().div_ceil(MOST_TICKS);
        let most = self.0.len().div_ceil(TICKS);
        let (mut looks, mut processes) = (0, 0);
        for id in self.0.iter().take(most) {
            if processes >= PROCESSES && looks >= least {
                break;
            }
            processes += look(*id);
            looks += 1;
        }
        self.0.rotate_left(looks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most ticks that one of so many containers waits, each of which has so many processes.
    fn longest_wait(containers: u64, processes: usize) -> usize {
        let present: HashSet<u64> = (0..containers).collect();
        let mut turns = Turns::default();
        let mut waiting = present.clone();
        for tick in 1..100 {
            turns.tick(&present, |id| {
                waiting.remove(&id);
                processes
            });
            if waiting.is_empty() {
                return tick;
            }
        }
        panic!("some of {containers} never have their turn");
    }

    fn looked_at(turns: &mut Turns, present: &HashSet<u64>) -> HashSet<u64> {
        let mut looked_at = HashSet::new();
        turns.tick(present, |id| {
            looked_at.insert(id);
            1
        });
        looked_at
    }

    #[test]
    fn every_container_has_its_turn_within_three_ticks_or_fifteen_where_there_are_many_processes() {
        assert_eq!([1, 2, 3, 4, 72].map(|all| longest_wait(all, 1)), [1, 2, 3, 2, 3]);
        assert_eq!([73, 110, 256, 360, 1_000].map(|all| longest_wait(all, 1)), [4, 5, 11, 15, 15]);
        assert_eq!([1, 12, 36, 110, 1_000].map(|all| longest_wait(all, 10)), [1, 4, 12, 14, 15]);
    }

    #[test]
    fn what_a_tick_takes_is_bounded_while_a_round_is_short_enough() {
        let in_a_tick =
            |containers| looked_at(&mut Turns::default(), &(0..containers).collect()).len();
        assert_eq!([0, 1, 30, 72, 73, 256, 360].map(in_a_tick), [0, 1, 10, 24, 24, 24, 24]);
        assert_eq!(in_a_tick(1_500), 100);
    }

    #[test]
    fn who_comes_and_goes_changes_nobody_elses_turn() {
        let mut turns = Turns::default();
        let first = looked_at(&mut turns, &(0..9).collect());
        assert_eq!(first.len(), 3);
        let mut present: HashSet<u64> = (0..9).filter(|id| !first.contains(id)).collect();
        present.extend([20, 21, 22]);
        let mut old = looked_at(&mut turns, &present);
        old.extend(looked_at(&mut turns, &present));
        assert_eq!(old, (0..9).filter(|id| !first.contains(id)).collect());
        assert_eq!(looked_at(&mut turns, &present), HashSet::from([20, 21, 22]));
    }
}
