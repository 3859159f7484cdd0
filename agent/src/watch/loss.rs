//! What the ring had no room for. The kernel counts it by tenant and rule; the log hears of it.

use std::collections::{BTreeMap, HashMap};

use bulkhead_abi::{CountKey, Rule};
use bulkhead_policy::{
    catalogue,
    event::{Event, Kind, Loss, LossPlace, Names, Text},
};
use jiff::Timestamp;

/// Losses already told, by tenant and rule.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    told: HashMap<(u32, u16), u64>,
}

/// What a reading of the counts brought.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// An event for each tenant and rule that has lost records since the last reading.
    pub(crate) events: Vec<Event>,
    /// How many each of those has lost by now.
    pub(crate) counts: Vec<((u32, u16), u64)>,
}

impl Losses {
    /// Goes on where an earlier agent stopped.
    pub(crate) fn recover(told: impl IntoIterator<Item = ((u32, u16), u64)>) -> Self {
        Self { told: told.into_iter().collect() }
    }

    /// What has been lost since the last reading.
    pub(crate) fn tell(
        &mut self,
        counts: &[(CountKey, u64)],
        names: &dyn Names,
        node: &str,
    ) -> Told {
        let mut lost: BTreeMap<(u32, u16), u64> = BTreeMap::new();
        for (key, count) in counts.iter().filter(|(key, _)| key.delivered == 0) {
            *lost.entry((key.tenant, key.rule)).or_default() += count;
        }
        let mut news = Told::default();
        for (of, count) in lost {
            let before = self.told.insert(of, count).unwrap_or(0);
            if count > before {
                news.events.push(event(of.0, of.1, count - before, names, node));
                news.counts.push((of, count));
            }
        }
        news
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

    fn told(news: &Told) -> Vec<u64> {
        news.events
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
        assert!(told(&losses.tell(&first, &Nobody, "n")).is_empty());
        let second = [count(1, 0, 5), count(2, 0, 4)];
        assert_eq!(told(&losses.tell(&second, &Nobody, "n")), [2]);
    }

    #[test]
    fn the_next_agent_tells_only_what_this_one_has_not() {
        let first = Losses::default().tell(&[count(1, 0, 3)], &Nobody, "n");
        let mut next = Losses::recover(first.counts);
        assert_eq!(told(&next.tell(&[count(1, 0, 5)], &Nobody, "n")), [2]);
    }
}
