//! Samples of containers' pressure and use, and what two of them say.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use bulkhead_policy::pressure::{Sample, Stall, Window, io_bytes, keyed, some_total, stalls};

use super::{Subject, cgroup::Cgroup};

/// How far two samples lie apart.
const EVERY: Duration = Duration::from_secs(5);
/// A stall of the same two tenants is told again only after this time.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The samples before.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    before: HashMap<u64, Sample>,
    at: Option<Instant>,
    told: BTreeMap<(String, String, &'static str), Instant>,
}

impl Pressure {
    /// Takes samples, if the time has come, and compares them with those before. Cgroups and
    /// subjects go in pairs.
    pub(super) fn look(&mut self, subjects: &[(&Subject, Cgroup)], now: Instant) -> Vec<Stall> {
        if self.at.is_some_and(|at| now.duration_since(at) < EVERY) {
            return Vec::new();
        }
        let length = self.at.map_or(0, |at| now.duration_since(at).as_micros());
        let samples: HashMap<u64, Sample> = subjects
            .iter()
            .filter_map(|(subject, cgroup)| Some((subject.cgroup, sample(cgroup)?)))
            .collect();
        let windows: Vec<Window<'_>> = subjects
            .iter()
            .filter_map(|(subject, _)| {
                Some(Window {
                    tenant: &subject.tenant,
                    container: &subject.name,
                    before: *self.before.get(&subject.cgroup)?,
                    after: *samples.get(&subject.cgroup)?,
                })
            })
            .collect();
        let found = stalls(&windows, u64::try_from(length).unwrap_or(u64::MAX));
        self.before = samples;
        self.at = Some(now);
        found
    }

    /// Whether a stall is news.
    pub(super) fn is_news(&mut self, stall: &Stall, now: Instant) -> bool {
        self.told.retain(|_, at| now.duration_since(*at) < TELL_EVERY);
        let key = (stall.tenant.clone(), stall.suspect.clone(), stall.resource.as_str());
        self.told.insert(key, now).is_none()
    }
}

/// A container's counters; `None` where the kernel has no pressure files, or it is gone.
fn sample(cgroup: &Cgroup) -> Option<Sample> {
    let text = |name| cgroup.text(name).ok().flatten();
    let stalled = |name| text(name).and_then(|text| some_total(&text));
    let cpu = text("cpu.stat").unwrap_or_default();
    let events = text("memory.events").unwrap_or_default();
    let current = text("memory.current").and_then(|text| text.trim().parse().ok());
    Some(Sample {
        cpu_stalled: stalled("cpu.pressure")?,
        memory_stalled: stalled("memory.pressure")?,
        io_stalled: stalled("io.pressure")?,
        cpu_used: keyed(&cpu, "usage_usec").unwrap_or(0),
        cpu_throttled: keyed(&cpu, "throttled_usec").unwrap_or(0),
        memory_used: current.unwrap_or(0),
        memory_limited: keyed(&events, "high").unwrap_or(0) + keyed(&events, "max").unwrap_or(0),
        io_used: text("io.stat").map_or(0, |text| io_bytes(&text)),
    })
}
