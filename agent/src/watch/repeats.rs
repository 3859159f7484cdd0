//! Acts that were the same again. The kernel side counts them with the one that it told; when its
//! window is over, or the act was told anew, one event says how many there were.

use std::collections::HashMap;

use bulkhead_abi::{ActKey, Repeats, WINDOW, WINDOW_OVER};
use bulkhead_policy::event::{self, Event, Names};
use jiff::Timestamp;

/// Beyond the end of a window, until no program of the kernel side can still be at work in it.
const GRACE: u64 = 1_000_000_000;
/// So many acts are read in a second, one with another: a reading of more is followed by a rest,
const ACTS_A_SECOND: usize = 8_192;
/// but by none so long that a window could begin and end unseen, or what is over fills the kernel's map.
const LONGEST_REST: u32 = 4;

/// By act. Tens of thousands are looked up at each reading, of which the standard hasher takes most of the time.
/// Tenants choose parts of a key: this hasher is seeded too, and the kernel's map bounds how many keys there are.
type ByAct<V> = HashMap<ActKey, V, foldhash::quality::RandomState>;

/// What the log has been told of.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    acts: ByAct<Known>,
    /// Acts of which an event may not be in the log yet, and how many repeats it brings them to.
    unwritten: ByAct<u64>,
    /// Seconds that still go by without a reading.
    rest: u32,
}

/// One act that was told.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The event of the window whose repeats are counted.
    of: Option<u64>,
    /// The act's newest event.
    newest: Option<u64>,
    /// When that window began; 0 while no reading has shown it.
    told: u64,
    /// Repeats that the log has heard of.
    count: u64,
    /// Readings that did not have it.
    absent: u8,
}

/// When a reading was made, and what makes names of its numbers.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Nanoseconds since boot.
    pub(crate) now: u64,
    /// The wall clock's time at boot.
    pub(crate) boot: Timestamp,
    /// Who the numbers stand for.
    pub(crate) names: &'a dyn Names,
    /// This node's name.
    pub(crate) node: &'a str,
}

/// What is to be done after a reading.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What to tell.
    pub(crate) events: Vec<Event>,
    /// Entries that the kernel side needs no more, and that were never repeated.
    pub(crate) over: Vec<ActKey>,
    /// Those whose repeats the log has heard of.
    pub(crate) over_and_said: Vec<ActKey>,
    /// Keys that no build of this agent wrote.
    pub(crate) unreadable: u64,
}

impl Repeated {
    /// Goes on where an earlier agent stopped.
    pub(crate) fn recover(said: impl IntoIterator<Item = (ActKey, u64)>) -> Self {
        let known = |(key, count)| (key, Known { count, ..Known::default() });
        Self { acts: said.into_iter().map(known).collect(), ..Self::default() }
    }

    /// All events are in the log: how many repeats of each act it has heard of.
    pub(crate) fn written(&mut self) -> impl Iterator<Item = (ActKey, u64)> + use<> {
        std::mem::take(&mut self.unwritten).into_iter()
    }

    /// An act has an event: what its process repeats is counted with it, and so may be what others
    /// of the container do.
    pub(crate) fn told(&mut self, key: ActKey, sequence: u64) {
        for key in [key, key.of_any_process()] {
            let known = self.acts.entry(key).or_default();
            known.of = known.of.or(Some(sequence));
            known.newest = Some(sequence);
        }
    }

    /// The kernel side has forgotten the act: what comes of it is another one.
    pub(crate) fn forget(&mut self, key: &ActKey) {
        self.acts.remove(key);
    }

    /// Whether nothing is to be read in this second. Asked once a second.
    pub(crate) fn rests(&mut self) -> bool {
        let rests = self.rest > 0;
        self.rest = self.rest.saturating_sub(1);
        rests
    }

    /// Looks at the kernel side's counts. With `all`, tells what is still being counted, too.
    pub(crate) fn look(
        &mut self,
        counts: &[(ActKey, Repeats)],
        all: bool,
        reading: &Reading<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        for known in self.acts.values_mut() {
            known.absent = known.absent.saturating_add(1);
        }
        for (key, count) in counts {
            let known = self.acts.entry(*key).or_default();
            known.absent = 0;
            let age = reading.now.saturating_sub(count.told);
            let again = known.told != 0 && known.told != count.told;
            let more = count.count.saturating_sub(known.count);
            if more > 0 && (all || again || age >= WINDOW) {
                let first = if again { known.told } else { count.told };
                let of = if again { known.of } else { known.newest };
                let part = event::Count { of, repeats: more, first, last: count.last };
                match event::Repeats::new(key, part, reading.boot, reading.names) {
                    Some(repeats) => outcome.events.push(Event::new(
                        Timestamp::now(),
                        reading.node,
                        repeats.into(),
                    )),
                    None => outcome.unreadable += 1,
                }
                known.count = count.count;
                self.unwritten.insert(*key, count.count);
            }
            known.told = count.told;
            known.of = known.newest;
            if age >= WINDOW_OVER + GRACE && known.count == count.count {
                let list =
                    if known.count > 0 { &mut outcome.over_and_said } else { &mut outcome.over };
                list.push(*key);
            }
        }
        self.rest = rest(counts.len());
        // An act that has just been told may be on its way into the kernel's map.
        self.acts.retain(|_, known| known.absent < 3);
        if self.acts.len() < self.acts.capacity() / 4 {
            self.acts.shrink_to(self.acts.len() * 2);
        }
        outcome
    }
}

/// Seconds without a reading after one of so many acts. With none, nothing can be over for a whole window.
fn rest(acts: usize) -> u32 {
    if acts == 0 {
        return LONGEST_REST;
    }
    u32::try_from(acts / ACTS_A_SECOND).unwrap_or(u32::MAX).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_abi::Rule;
    use bulkhead_policy::event::{Kind, Nobody};

    const START: u64 = 5_000_000_000;

    fn key() -> ActKey {
        ActKey {
            target: [7, 9, 0],
            container: 1,
            tenant: 2,
            process: 40,
            syscall: 62,
            rule: Rule::Signal as u8,
            relation: 4,
            verdict: 2,
            outcome: 1,
        }
    }

    fn look(repeated: &mut Repeated, told: u64, count: u64, now: u64) -> Outcome {
        let counts = [(key(), Repeats { told, last: now, count })];
        let boot = Timestamp::UNIX_EPOCH;
        let reading = Reading { now, boot, names: &Nobody, node: "n" };
        repeated.look(&counts, false, &reading)
    }

    /// Of which event, and how many.
    fn said(outcome: &Outcome) -> Vec<(Option<u64>, u64)> {
        let part = |event: &Event| match &event.kind {
            Kind::Repeats(repeats) => Some((repeats.of, repeats.repeats)),
            _ => None,
        };
        outcome.events.iter().filter_map(part).collect()
    }

    #[test]
    fn repeats_are_told_once_when_their_window_is_over() {
        let mut repeated = Repeated::default();
        repeated.told(key(), 11);
        assert!(said(&look(&mut repeated, START, 999, START + 1)).is_empty());
        let over = START + WINDOW;
        assert_eq!(said(&look(&mut repeated, START, 1_000, over)), [(Some(11), 1_000)]);
        let outcome = look(&mut repeated, START, 1_000, over + 1);
        assert!(said(&outcome).is_empty() && outcome.over.is_empty());
    }

    #[test]
    fn the_next_agent_tells_only_the_repeats_that_this_one_has_not() {
        let mut repeated = Repeated::default();
        let over = START + WINDOW;
        assert_eq!(said(&look(&mut repeated, START, 7, over)), [(None, 7)]);
        let mut next = Repeated::recover(repeated.written());
        assert_eq!(repeated.written().count(), 0, "once");
        assert!(said(&look(&mut next, START, 7, over + 1)).is_empty());
        assert_eq!(said(&look(&mut next, START, 9, over + 2)), [(None, 2)]);
    }

    #[test]
    fn an_act_that_is_told_anew_ends_the_window_before() {
        let mut repeated = Repeated::default();
        repeated.told(key(), 11);
        look(&mut repeated, START, 5, START + 1);
        repeated.told(key(), 12);
        let again = START + WINDOW + 1;
        assert_eq!(said(&look(&mut repeated, again, 7, again + 1)), [(Some(11), 7)]);
        let outcome = look(&mut repeated, again, 10, again + WINDOW);
        assert_eq!(said(&outcome), [(Some(12), 3)]);
    }

    #[test]
    fn an_entry_goes_when_nobody_can_add_to_it_any_more() {
        let mut repeated = Repeated::default();
        repeated.told(key(), 11);
        let outcome = look(&mut repeated, START, 4, START + WINDOW_OVER + GRACE);
        assert_eq!((said(&outcome), outcome.over_and_said), (vec![(Some(11), 4)], vec![key()]));
        let outcome = look(&mut repeated, START, 4, START + WINDOW_OVER + 2 * GRACE);
        assert_eq!((said(&outcome), outcome.over_and_said), (vec![], vec![key()]), "told once");
        repeated.forget(&key());
        assert!(!repeated.acts.contains_key(&key()));
    }

    #[test]
    fn an_act_that_nobody_repeated_goes_as_one_of_which_nothing_was_said() {
        let mut repeated = Repeated::default();
        repeated.told(key(), 11);
        let outcome = look(&mut repeated, START, 0, START + WINDOW_OVER + GRACE);
        assert_eq!((outcome.over, outcome.over_and_said), (vec![key()], vec![]));
    }

    #[test]
    fn many_acts_or_none_are_read_less_often_but_in_every_window() {
        assert_eq!([1, 8_191, 8_192, 20_000, 65_536].map(rest), [0, 0, 1, 2, 4]);
        assert_eq!(rest(0), LONGEST_REST);
        assert!(u64::from(LONGEST_REST + 1) * 1_000_000_000 <= WINDOW / 2);
        let mut repeated = Repeated { rest: 2, ..Repeated::default() };
        assert_eq!([(); 4].map(|()| repeated.rests()), [true, true, false, false]);
    }

    #[test]
    fn what_the_kernel_side_does_not_keep_is_not_kept_here() {
        let mut repeated = Repeated::default();
        for n in 0..1_000 {
            repeated.told(ActKey { target: [n, 0, 0], ..key() }, n);
        }
        for second in 0..3 {
            look(&mut repeated, START, 0, START + second);
        }
        assert_eq!(repeated.acts.len(), 1, "the one that is there");
    }
}
