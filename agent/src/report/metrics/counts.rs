//! Readings of the kernel's counts -> how much each grew.

use std::collections::{HashMap, HashSet};

use bulkhead_abi::{CountKey, Effect, Fate, Relation, Rule, Verdict};
use bulkhead_policy::catalogue::{self, RuleInfo};

use crate::kernel::NO_CONTAINER;

/// The last reading.
#[derive(Debug, Default)]
pub(super) struct Counts {
    last: HashMap<CountKey, u64>,
    unreadable: HashSet<CountKey>,
}

/// How much one count grew since the reading before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Increase {
    pub(super) rule: &'static RuleInfo,
    pub(super) tenant: u32,
    pub(super) relation: Relation,
    pub(super) verdict: Verdict,
    pub(super) effect: Effect,
    pub(super) fate: Fate,
    pub(super) by: u64,
}

impl Counts {
    /// Tells `grown` of each count that grew; a count that is there and has not grown is told with
    /// zero once, so that its series exists. Returns how many keys were seen for the first time and
    /// cannot be read.
    pub(super) fn fold(
        &mut self,
        reading: &[(CountKey, u64)],
        mut grown: impl FnMut(Increase),
    ) -> u64 {
        let mut last = HashMap::with_capacity(reading.len());
        let mut unreadable = HashSet::new();
        let moved = self.vanished(reading);
        for (key, count) in reading {
            let Some(increase) = read(key) else {
                unreadable.insert(*key);
                continue;
            };
            // A count that shrank began anew: its entry was removed and made again.
            let before = self.last.get(key).copied();
            let base = before.filter(|before| before <= count).unwrap_or(0);
            if before != Some(*count) {
                // What has come to a total from a container that is gone was told as that one's.
                let known = if key.container == NO_CONTAINER { moved.get(key) } else { None };
                let by = (count - base).saturating_sub(known.copied().unwrap_or(0));
                grown(Increase { by, ..increase });
            }
            last.insert(*key, *count);
        }
        let first_time = unreadable.difference(&self.unreadable).count() as u64;
        (self.last, self.unreadable) = (last, unreadable);
        first_time
    }

    /// The last counts of what this reading lacks, by the total that they belong to.
    fn vanished(&self, reading: &[(CountKey, u64)]) -> HashMap<CountKey, u64> {
        let present: HashSet<&CountKey> = reading.iter().map(|(key, _)| key).collect();
        let mut vanished = HashMap::new();
        for (key, count) in self.last.iter().filter(|(key, _)| !present.contains(key)) {
            *vanished.entry(CountKey { container: NO_CONTAINER, ..*key }).or_default() += count;
        }
        vanished
    }
}

fn read(key: &CountKey) -> Option<Increase> {
    Some(Increase {
        rule: catalogue::info(Rule::from_u16(key.rule)?),
        tenant: key.tenant,
        relation: Relation::from_u8(key.relation)?,
        verdict: Verdict::from_u8(key.verdict)?,
        effect: Effect::from_u8(key.effect)?,
        fate: Fate::from_u8(key.fate)?,
        by: 0,
    })
}
