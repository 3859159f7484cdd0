//! User-id ranges of containers, and whether two tenants share one.

use std::fmt;

/// The ids of a user namespace that lie side by side among the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id inside.
    pub inside: u32,
    /// The first id on the node.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl IdRange {
    /// Reads `/proc/PID/uid_map` or `gid_map`. `None`: a line is not three numbers.
    pub fn parse_map(text: &str) -> Option<Vec<Self>> {
        text.lines()
            .map(|line| {
                let mut numbers = line.split_whitespace().map(str::parse::<u32>);
                let range = Self {
                    inside: numbers.next()?.ok()?,
                    outside: numbers.next()?.ok()?,
                    count: numbers.next()?.ok()?,
                };
                numbers.next().is_none().then_some(range)
            })
            .collect()
    }

    /// The first id on the node after the range.
    fn end(&self) -> u64 {
        u64::from(self.outside) + u64::from(self.count)
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.outside, self.end().saturating_sub(1))
    }
}

/// Two tenants' containers whose user ids are the same ones on the node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overlap<Id> {
    /// One container.
    pub one: Id,
    /// The other, of another tenant.
    pub other: Id,
    /// The first id that both have.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// Where the ids of two tenants' containers overlap: each pair of containers once, with the first
/// run of ids. `owned`: tenant, container, range.
pub fn overlaps<T: PartialEq, Id: Copy + Ord>(owned: &[(T, Id, IdRange)]) -> Vec<Overlap<Id>> {
    let mut sorted: Vec<_> = owned.iter().filter(|(_, _, range)| range.count > 0).collect();
    sorted.sort_by_key(|(_, _, range)| range.outside);
    let mut found: Vec<Overlap<Id>> = Vec::new();
    // Ranges that begin before the one at hand and may reach into it.
    let mut open: Vec<&(T, Id, IdRange)> = Vec::new();
    for item in sorted {
        let (tenant, id, range) = item;
        open.retain(|(_, _, earlier)| earlier.end() > u64::from(range.outside));
        for (other_tenant, other, earlier) in open.iter().copied() {
            let known = |it: &Overlap<Id>| {
                (it.one, it.other) == (*other, *id) || (it.one, it.other) == (*id, *other)
            };
            if other_tenant != tenant && !found.iter().any(known) {
                let last = earlier.end().min(range.end()).saturating_sub(1);
                found.push(Overlap {
                    one: *other,
                    other: *id,
                    first: u64::from(range.outside),
                    last,
                });
            }
        }
        open.push(item);
    }
    found.sort();
    found
}
