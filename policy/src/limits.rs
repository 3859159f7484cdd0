//! How much of the node a container, and a tenant, may use.
//!
//! A limit only ever tightens: what a container is held to is the tighter of what its pod asked for
//! and what its level allows. The comparison is made between [`Setting`]s, which is what the files of
//! a cgroup mean, so that the same code serves what a runtime is about to make and what is there.

mod definition;
mod plan;
mod quantity;
mod setting;
mod share;

pub use definition::{
    Bound, IoDefinition, LimitsDefinition, OnError, TenantLimitsDefinition, Weight,
};
pub use plan::{Plan, plan};
pub use quantity::Quantity;
pub use setting::{CpuTime, File, IoRates, Setting};
pub use share::{Total, fair};

use std::collections::BTreeMap;

use crate::configuration::{Fault, FieldPath, Problem};

/// The longest period over which cpu time is shared out, and the usual one, in microseconds.
pub const CPU_PERIOD: u64 = 100_000;
/// The shortest time in a period that the kernel takes is 1 ms: a hundredth of a processor.
const LEAST_CPU: u64 = 10;
/// No program runs in less.
const LEAST_MEMORY: u64 = 1 << 20;

/// The limits of one container. `None`: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory; the container's largest process is killed above.
    pub memory: Option<u64>,
    /// Bytes of memory above which it is slowed down and made to give back.
    pub memory_high: Option<u64>,
    /// Bytes of swap.
    pub swap: Option<u64>,
    /// Thousandths of a processor.
    pub cpu: Option<u64>,
    /// Share of the processors under contention, 1 to 10000; 100 is usual.
    pub cpu_weight: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Rates on each disk of the node.
    pub io: IoRates,
    /// Bytes of huge pages by the kernel's name of their size, as in `2MB`.
    pub hugetlb: BTreeMap<String, u64>,
    /// Open files of one process.
    pub open_files: Option<u64>,
    /// The least `oom_score_adj`: the higher, the sooner it is killed where the node has no memory.
    pub oom_score: Option<i64>,
}

/// The sums over a tenant's containers on this node. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub cpu: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl TenantLimits {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads a definition.
    pub(crate) fn read(definition: &TenantLimitsDefinition) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new("tenantLimits");
        let mut limits = Self::default();
        reader.bytes("memory", &definition.memory, &mut limits.memory, LEAST_MEMORY);
        reader.milli("cpu", &definition.cpu, &mut limits.cpu);
        reader.count("pids", &definition.pids, &mut limits.pids);
        reader.end(limits)
    }
}

impl Limits {
    /// These with what a level or tenant says differently.
    pub(crate) fn refined(&self, definition: &LimitsDefinition) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new("limits");
        let mut limits = self.clone();
        reader.bytes("memory", &definition.memory, &mut limits.memory, LEAST_MEMORY);
        reader.bytes("memoryHigh", &definition.memory_high, &mut limits.memory_high, LEAST_MEMORY);
        reader.bytes("swap", &definition.swap, &mut limits.swap, 0);
        reader.milli("cpu", &definition.cpu, &mut limits.cpu);
        reader.count("pids", &definition.pids, &mut limits.pids);
        reader.count("openFiles", &definition.open_files, &mut limits.open_files);
        if let Some(Weight(weight)) = definition.cpu_weight {
            limits.cpu_weight = reader.within("cpuWeight", weight, 1, 10_000);
        }
        if let Some(score) = definition.oom_score {
            let most = reader.within("oomScore", score, 0, 1_000);
            limits.oom_score = most.and_then(|score| i64::try_from(score).ok());
        }
        for (key, bound, rate) in [
            ("readBytes", &definition.io.read_bytes, &mut limits.io.read_bytes),
            ("writeBytes", &definition.io.write_bytes, &mut limits.io.write_bytes),
            ("readOperations", &definition.io.read_operations, &mut limits.io.read_operations),
            ("writeOperations", &definition.io.write_operations, &mut limits.io.write_operations),
        ] {
            reader.inside("io", |reader| reader.bytes(key, bound, rate, 1));
        }
        for (size, bound) in &definition.hugetlb {
            reader.inside("hugetlb", |reader| match page_size(size) {
                None => reader.fault(size, Fault::Unreadable(format!(
                    "{size:?} is no size of a huge page; write one of the node's, as in `2Mi` or `1Gi`"
                ))),
                Some(name) => {
                    let mut limit = limits.hugetlb.get(&name).copied();
                    reader.bytes(size, &Some(*bound), &mut limit, 0);
                    match limit {
                        Some(limit) => limits.hugetlb.insert(name, limit),
                        None => limits.hugetlb.remove(&name),
                    };
                }
            });
        }
        if let (Some(high), Some(most)) = (limits.memory_high, limits.memory)
            && high > most
        {
            let fault = Fault::OutOfRange { found: high, least: LEAST_MEMORY, most };
            reader.fault("memoryHigh", fault);
        }
        reader.end(limits)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The kernel's name of a page size: `2MB` for `2Mi`.
fn page_size(text: &str) -> Option<String> {
    let bytes = Quantity::parse(text)?.whole()?;
    if !bytes.is_power_of_two() || bytes < 1 << 12 {
        return None;
    }
    Some(match bytes {
        size if size >= 1 << 30 => format!("{}GB", size >> 30),
        size if size >= 1 << 20 => format!("{}MB", size >> 20),
        size => format!("{}KB", size >> 10),
    })
}

/// Reads definitions into numbers and notes what is wrong.
struct Reader {
    path: FieldPath,
    problems: Vec<Problem>,
}

impl Reader {
    fn new(key: &str) -> Self {
        Self { path: FieldPath::default().key(key), problems: Vec::new() }
    }

    fn inside(&mut self, key: &str, read: impl FnOnce(&mut Self)) {
        let outer = self.path.clone();
        self.path = outer.key(key);
        read(self);
        self.path = outer;
    }

    fn fault(&mut self, key: &str, fault: Fault) {
        self.problems.push(Problem::new(self.path.key(key), fault));
    }

    fn bytes(&mut self, key: &str, bound: &Option<Bound>, limit: &mut Option<u64>, least: u64) {
        self.read(key, bound, limit, Quantity::whole, least);
    }

    fn count(&mut self, key: &str, bound: &Option<Bound>, limit: &mut Option<u64>) {
        self.read(key, bound, limit, Quantity::whole, 1);
    }

    fn milli(&mut self, key: &str, bound: &Option<Bound>, limit: &mut Option<u64>) {
        self.read(key, bound, limit, Quantity::milli, LEAST_CPU);
    }

    fn read(
        &mut self,
        key: &str,
        bound: &Option<Bound>,
        limit: &mut Option<u64>,
        unit: fn(Quantity) -> Option<u64>,
        least: u64,
    ) {
        let most = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
        match bound {
            None => {}
            Some(Bound::None) => *limit = None,
            Some(Bound::Of(quantity)) => match unit(*quantity) {
                Some(found) if (least..=most).contains(&found) => *limit = Some(found),
                found => {
                    let found = found.unwrap_or(u64::MAX);
                    self.fault(key, Fault::OutOfRange { found, least, most });
                }
            },
        }
    }

    fn within(&mut self, key: &str, found: u64, least: u64, most: u64) -> Option<u64> {
        if (least..=most).contains(&found) {
            return Some(found);
        }
        self.fault(key, Fault::OutOfRange { found, least, most });
        None
    }

    fn end<T>(self, limits: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() { Ok(limits) } else { Err(self.problems) }
    }
}

#[cfg(test)]
mod tests;
