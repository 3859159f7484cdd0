//! What did not go through the rings: no room, or more than the tenant's budget. The kernel counts it
//! by tenant and rule; the log hears of it.

use std::collections::{BTreeMap, HashMap};

use bulkhead_abi::{CountKey, Fate, Rule};
use bulkhead_policy::{
    catalogue,
    event::{Event, Kind, Loss, LossPlace, Names, Text},
};
use jiff::Timestamp;

use crate::kernel::LossKey;

/// Losses already told, by tenant, rule and reason.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    told: HashMap<LossKey, u64>,
    /// Those whose events may not be in the log yet.
    unwritten: BTreeMap<LossKey, u64>,
}

impl Losses {
    /// Goes on where an earlier agent stopped.
    pub(crate) fn recover(told: impl IntoIterator<Item = (LossKey, u64)>) -> Self {
        Self { told: told.into_iter().collect(), unwritten: BTreeMap::new() }
    }

    /// An event for each tenant, rule and reason that has lost records since the last reading.
    pub(crate) fn tell(
        &mut self,
        counts: &[(CountKey, u64)],
        names: &dyn Names,
        node: &str,
    ) -> Vec<Event> {
        let mut lost: BTreeMap<LossKey, u64> = BTreeMap::new();
        for (key, count) in counts {
            let Some(fate) = Fate::from_u8(key.fate).filter(|fate| fate.is_lost()) else {
                continue;
            };
            *lost.entry((key.tenant, key.rule, fate)).or_default() += count;
        }
        let mut events = Vec::new();
        for (of, count) in lost {
            let before = self.told.insert(of, count).unwrap_or(0);
            if count > before {
                let loss = loss(of, count - before, names);
                events.push(Event::new(Timestamp::now(), node, Kind::Loss(loss)));
                self.unwritten.insert(of, count);
            }
        }
        events
    }

    /// All events are in the log: how many each has lost that they told of.
    pub(crate) fn written(&mut self) -> impl Iterator<Item = (LossKey, u64)> + use<> {
        std::mem::take(&mut self.unwritten).into_iter()
    }
}

/// Where a lost record was lost.
fn place(fate: Fate) -> LossPlace {
    match fate {
        Fate::OverBudget => LossPlace::TenantBudget,
        Fate::NoRoom | Fate::Repeated => LossPlace::KernelRing,
        Fate::Delivered => LossPlace::Agent,
    }
}

/// Lost records of a tenant and a rule.
pub(crate) fn loss((tenant, rule, fate): LossKey, count: u64, names: &dyn Names) -> Loss {
    Loss {
        place: place(fate),
        count,
        last_sequence: None,
        rule: Rule::from_u16(rule).map(|rule| catalogue::info(rule).id),
        tenant: names.tenant(tenant).map(Text::new),
        acts: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_policy::event::Nobody;

    fn count(tenant: u32, fate: Fate, count: u64) -> (CountKey, u64) {
        let key = CountKey {
            container: 1,
            tenant,
            rule: Rule::Signal as u16,
            relation: 4,
            verdict: 2,
            effect: 1,
            fate: fate as u8,
            padding: [0; 6],
        };
        (key, count)
    }

    fn told(events: &[Event]) -> Vec<u64> {
        events
            .iter()
            .map(|event| match &event.kind {
                Kind::Loss(loss) => loss.count,
                _ => 0,
            })
            .collect()
    }

    #[test]
    fn each_loss_is_told_once() {
        let mut losses = Losses::default();
        let first = [
            count(1, Fate::Delivered, 50),
            count(1, Fate::Repeated, 60),
            count(1, Fate::NoRoom, 3),
            count(2, Fate::NoRoom, 4),
        ];
        assert_eq!(told(&losses.tell(&first, &Nobody, "n")), [3, 4]);
        assert!(told(&losses.tell(&first, &Nobody, "n")).is_empty());
        let second = [count(1, Fate::NoRoom, 5), count(2, Fate::NoRoom, 4)];
        assert_eq!(told(&losses.tell(&second, &Nobody, "n")), [2]);
    }

    #[test]
    fn the_next_agent_tells_only_what_this_one_has_not() {
        let mut first = Losses::default();
        first.tell(&[count(1, Fate::NoRoom, 3)], &Nobody, "n");
        let mut next = Losses::recover(first.written());
        assert_eq!(first.written().count(), 0, "once");
        assert_eq!(told(&next.tell(&[count(1, Fate::NoRoom, 5)], &Nobody, "n")), [2]);
    }

    #[test]
    fn a_full_ring_and_a_used_up_budget_are_told_apart() {
        let mut losses = Losses::default();
        let reading = [count(1, Fate::NoRoom, 3), count(1, Fate::OverBudget, 4)];
        let events = losses.tell(&reading, &Nobody, "n");
        let places: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.kind {
                Kind::Loss(loss) => Some((loss.place, loss.count)),
                _ => None,
            })
            .collect();
        assert_eq!(places, [(LossPlace::KernelRing, 3), (LossPlace::TenantBudget, 4)]);
    }
}
