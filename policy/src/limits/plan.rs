//! What the files of a container's cgroup should hold.

use std::collections::BTreeMap;

use super::{CpuTime, File, Limits, Setting, Total};

/// The limits of one container by file.
pub type Plan = BTreeMap<File, Setting>;

/// What a container's level and its part of its tenant's sum allow. `disks`: `major:minor` of the
/// node's disks, to each of which rates apply.
pub fn plan(limits: &Limits, part: Total, disks: &[String]) -> Plan {
    let lower = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (limit, None) | (None, limit) => limit,
    };
    let mut plan = Plan::new();
    let memory = lower(limits.memory, part.memory);
    let amounts = [
        (File::MemoryMax, memory),
        // Slowing down at more than the end would never happen.
        (
            File::MemoryHigh,
            limits.memory_high.filter(|high| memory.is_none_or(|most| *high < most)),
        ),
        (File::SwapMax, limits.swap),
        (File::CpuWeight, limits.cpu_weight),
        (File::PidsMax, lower(limits.pids, part.pids)),
    ];
    for (file, amount) in amounts {
        if amount.is_some() {
            plan.insert(file, Setting::Amount(amount));
        }
    }
    if let Some(milli) = lower(limits.cpu, part.cpu) {
        plan.insert(File::CpuMax, Setting::Cpu(CpuTime::of_milli(milli)));
    }
    for (size, limit) in &limits.hugetlb {
        plan.insert(File::Hugetlb(size.clone()), Setting::Amount(Some(*limit)));
    }
    if limits.io != Default::default() && !disks.is_empty() {
        let rates = disks.iter().map(|disk| (disk.clone(), limits.io)).collect();
        plan.insert(File::IoMax, Setting::Io(rates));
    }
    plan
}
