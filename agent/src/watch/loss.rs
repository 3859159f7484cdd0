//! What the ring had no room for. The kernel counts it by tenant and rule; the log hears of it.

use std::collections::{BTreeMap, HashMap};

use bulkhead_abi::{CountKey, Rule};
use bulkhead_policy::{
    catalogue,
    event::{Event, Kind, Loss, LossPlace, Names, Text},
};
use jiff::Timestamp;

/// Losses already told, as the kernel's counts stood then.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    told: HashMap<CountKey, u64>,
}

impl Losses {
    /// An event for each tenant and rule that has lost records since the last reading.
    pub(crate) fn tell(
        &mut self,
        counts: &[(CountKey, u64)],
        names: &dyn Names,
        node: &str,
    ) -> Vec<Event> {
        let mut lost: BTreeMap<(u32, u16), u64> = BTreeMap::new();
        let mut told = HashMap::new();
        for (key, count) in counts.iter().filter(|(key, _)| key.delivered == 0) {
            let before = self.told.get(key).copied().unwrap_or(0);
            *lost.entry((key.tenant, key.rule)).or_default() += count.saturating_sub(before);
            told.insert(*key, *count);
        }
        // A key that is gone was a container's that is gone.
        self.told = told;
        lost.retain(|_, count| *count > 0);
        lost.into_iter()
            .map(|((tenant, rule), count)| event(tenant, rule, count, names, node))
            .collect()
    }
}

fn event(tenant: u32, rule: u16, count: u64, names: &dyn Names, node: &str) -> Event {
    let loss = Loss {
        place: LossPlace::KernelRing,
        count,
        last_sequence: None,
        rule: Rule::from_u16(rule).map(|rule| catalogue::info(rule).id),
        tenant: names.tenant(tenant).map(Text::new),
    };
    Event::new(Timestamp::now(), node, Kind::Loss(loss))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_policy::event::Nobody;

    fn count(tenant: u32, delivered: u8, count: u64) -> (CountKey, u64) {
        let key = CountKey {
            container: 1,
            tenant,
            rule: Rule::Signal as u16,
            relation: 4,
            verdict: 2,
            effect: 1,
            delivered,
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
        let first = [count(1, 1, 50), count(1, 0, 3), count(2, 0, 4)];
        assert_eq!(told(&losses.tell(&first, &Nobody, "n")), [3, 4]);
        assert!(losses.tell(&first, &Nobody, "n").is_empty());
        let second = [count(1, 0, 5), count(2, 0, 4)];
        assert_eq!(told(&losses.tell(&second, &Nobody, "n")), [2]);
    }
}
