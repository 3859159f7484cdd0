//! Who stalls whom: pressure (PSI) of one tenant's containers beside what others use.
//!
//! The kernel says how long tasks of a cgroup waited for a resource, not for whom. So the suspect is
//! the other tenant that used the resource most while they waited; a tenant that its own limits hold
//! back has nobody to suspect.

use std::collections::BTreeMap;

/// What was read of a container's cgroup. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Microseconds in which some task waited for a processor (`cpu.pressure`).
    pub cpu_stalled: u64,
    /// The same of memory.
    pub memory_stalled: u64,
    /// The same of disks.
    pub io_stalled: u64,
    /// Microseconds on the processors (`cpu.stat`).
    pub cpu_used: u64,
    /// Microseconds held back by its own `cpu.max`.
    pub cpu_throttled: u64,
    /// Bytes of memory now.
    pub memory_used: u64,
    /// Times that its own memory limits made it wait (`memory.events`, high and max).
    pub memory_limited: u64,
    /// Bytes moved from and to disks.
    pub io_used: u64,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Processors.
    Cpu,
    /// Memory.
    Memory,
    /// Disks.
    Io,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Io];

    /// The word in metrics and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Io => "io",
        }
    }
}

/// A container between two readings.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Its tenant.
    pub tenant: &'a str,
    /// What it is called.
    pub container: &'a str,
    /// The earlier reading.
    pub before: Sample,
    /// The later one.
    pub after: Sample,
}

/// One tenant was stalled, and whom that points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// What it waited for.
    pub resource: Resource,
    /// Who waited.
    pub tenant: String,
    /// Its container that waited longest.
    pub container: String,
    /// For how long, in microseconds.
    pub stalled: u64,
    /// The other tenant that used the resource most.
    pub suspect: String,
    /// Its container that used it most.
    pub suspect_container: String,
    /// The suspect's part of what all containers used, in percent.
    pub percent: u64,
}

/// Whoever waited for more than this part of the time was stalled, in percent.
const STALLED: u64 = 10;
/// Whoever used less than this part of what all containers used is no suspect, in percent; nor is
/// one that used less than twice as much as the tenant that waited: those two contend.
const SUSPECT: u64 = 40;

impl Window<'_> {
    fn grown(&self, counter: fn(&Sample) -> u64) -> u64 {
        counter(&self.after).saturating_sub(counter(&self.before))
    }

    /// Microseconds of waiting that its own limits do not explain.
    fn stalled(&self, resource: Resource, length: u64) -> u64 {
        let part = length.saturating_mul(STALLED) / 100;
        match resource {
            // A container at its own limit waits for more than the time for which it is held back.
            Resource::Cpu if self.grown(|it| it.cpu_throttled) > part => 0,
            Resource::Cpu => self.grown(|it| it.cpu_stalled),
            Resource::Memory if self.grown(|it| it.memory_limited) > 0 => 0,
            Resource::Memory => self.grown(|it| it.memory_stalled),
            Resource::Io => self.grown(|it| it.io_stalled),
        }
    }

    /// How much it used. Of memory, what it holds: that is what others cannot have.
    fn used(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Cpu => self.grown(|it| it.cpu_used),
            Resource::Memory => self.after.memory_used,
            Resource::Io => self.grown(|it| it.io_used),
        }
    }
}

/// The stalls of a window of so many microseconds: at most one for each tenant and resource.
pub fn stalls(windows: &[Window<'_>], length: u64) -> Vec<Stall> {
    Resource::ALL.iter().flat_map(|&resource| stalls_of(resource, windows, length)).collect()
}

struct Most<'a> {
    total: u64,
    container: &'a str,
    of_container: u64,
}

/// Sums over each tenant's containers, and the container with the most.
fn by_tenant<'a>(
    windows: &[Window<'a>],
    amount: impl Fn(&Window<'a>) -> u64,
) -> BTreeMap<&'a str, Most<'a>> {
    let mut tenants: BTreeMap<&str, Most<'_>> = BTreeMap::new();
    for window in windows {
        let amount = amount(window);
        let most = tenants.entry(window.tenant).or_insert(Most {
            total: 0,
            container: window.container,
            of_container: 0,
        });
        most.total = most.total.saturating_add(amount);
        if amount > most.of_container {
            (most.container, most.of_container) = (window.container, amount);
        }
    }
    tenants
}

fn stalls_of(resource: Resource, windows: &[Window<'_>], length: u64) -> Vec<Stall> {
    let used = by_tenant(windows, |window| window.used(resource));
    let all: u64 = used.values().map(|most| most.total).fold(0, u64::saturating_add);
    let waited = by_tenant(windows, |window| window.stalled(resource, length));
    let stalled = waited.into_iter().filter(|(_, most)| {
        // One container's waiting counts: a tenant of many small waits is not stalled.
        most.of_container.saturating_mul(100) > length.saturating_mul(STALLED)
    });
    let stall = |(tenant, waited): (&str, Most<'_>)| {
        let own = used.get(tenant).map_or(0, |most| most.total);
        let others = used.iter().filter(|(other, _)| **other != tenant);
        let (suspect, most) = others.max_by_key(|(_, most)| most.total)?;
        let percent = most.total.saturating_mul(100).checked_div(all)?;
        (percent >= SUSPECT && most.total / 2 > own).then(|| Stall {
            resource,
            tenant: tenant.to_owned(),
            container: waited.container.to_owned(),
            stalled: waited.of_container.min(length),
            suspect: (*suspect).to_owned(),
            suspect_container: most.container.to_owned(),
            percent,
        })
    };
    stalled.filter_map(stall).collect()
}

/// Reads the `some` line's total of a pressure file.
pub fn some_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.rsplit_once("total=")?.1.trim().parse().ok()
}

/// Reads the value of a key of a flat keyed file (`cpu.stat`, `memory.events`).
pub fn keyed(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// Reads the bytes moved in all of `io.stat`.
pub fn io_bytes(text: &str) -> u64 {
    let words = text.split_whitespace().filter_map(|word| word.split_once('='));
    let bytes = words.filter(|(key, _)| matches!(*key, "rbytes" | "wbytes"));
    bytes.filter_map(|(_, value)| value.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 5_000_000;

    fn window<'a>(tenant: &'a str, container: &'a str, after: Sample) -> Window<'a> {
        Window { tenant, container, before: Sample::default(), after }
    }

    #[test]
    fn the_tenant_that_used_most_is_suspected() {
        let victim = Sample { cpu_stalled: 2_000_000, cpu_used: 400_000, ..Sample::default() };
        let hog = Sample { cpu_used: 9_000_000, cpu_stalled: 4_000_000, ..Sample::default() };
        let idle = Sample { cpu_used: 10_000, ..Sample::default() };
        let windows =
            [window("b", "web", victim), window("a", "hog", hog), window("c", "db", idle)];
        let found = stalls(&windows, WINDOW);
        // The hog waits too, but nobody uses more than it does.
        assert_eq!(found.len(), 1);
        let stall = &found[0];
        assert_eq!((stall.tenant.as_str(), stall.suspect.as_str()), ("b", "a"));
        assert_eq!((stall.container.as_str(), stall.suspect_container.as_str()), ("web", "hog"));
        assert_eq!((stall.resource, stall.stalled, stall.percent), (Resource::Cpu, 2_000_000, 95));
    }

    #[test]
    fn who_is_held_back_by_its_own_limits_suspects_nobody() {
        let hog = Sample { cpu_used: 9_000_000, memory_used: 1 << 30, ..Sample::default() };
        // Met in the guest: a hog under its limit blamed the neighbour that had been freed of it.
        let throttled =
            Sample { cpu_stalled: 3_000_000, cpu_throttled: 900_000, ..Sample::default() };
        let full = Sample { memory_stalled: 4_000_000, memory_limited: 1, ..Sample::default() };
        for victim in [throttled, full] {
            assert_eq!(stalls(&[window("b", "x", victim), window("a", "y", hog)], WINDOW), []);
        }
    }

    #[test]
    fn two_that_use_alike_contend_and_neither_is_suspected() {
        let one = Sample { cpu_stalled: 2_300_000, cpu_used: 4_000_000, ..Sample::default() };
        let other = Sample { cpu_used: 5_000_000, ..one };
        assert_eq!(stalls(&[window("a", "x", one), window("b", "y", other)], WINDOW), []);
    }

    #[test]
    fn a_tenant_alone_or_a_short_wait_is_no_stall() {
        let waits = Sample { io_stalled: 5_000_000, io_used: 1 << 30, ..Sample::default() };
        assert_eq!(stalls(&[window("a", "x", waits), window("a", "y", waits)], WINDOW), []);
        let short = Sample { io_stalled: 400_000, ..Sample::default() };
        assert_eq!(stalls(&[window("b", "x", short), window("a", "y", waits)], WINDOW), []);
        assert_eq!(stalls(&[], WINDOW), []);
        // A counter that went back (a cgroup made anew) is no wait either.
        let back = Window { before: waits, ..window("b", "x", short) };
        assert_eq!(stalls(&[back, window("a", "y", waits)], WINDOW), []);
    }

    #[test]
    fn the_kernel_s_files_are_read() {
        let pressure =
            "some avg10=1.53 avg60=0.87 avg300=0.34 total=1157622\nfull avg10=0 total=9\n";
        assert_eq!(some_total(pressure), Some(1_157_622));
        assert_eq!(some_total("full total=3\n"), None);
        assert_eq!(keyed("usage_usec 7\nthrottled_usec 8\n", "throttled_usec"), Some(8));
        assert_eq!(keyed("high 1\nmax x\n", "max"), None);
        assert_eq!(io_bytes("259:0 rbytes=10 wbytes=5 rios=1 wios=1\n8:0 rbytes=1\n"), 16);
    }
}
