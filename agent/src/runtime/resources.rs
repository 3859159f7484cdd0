//! Limits in the runtime's words and in ours.

use std::collections::BTreeMap;

use bulkhead_nri::api::{
    LinuxCpu, LinuxMemory, LinuxResources, OptionalInt64, OptionalUInt64, PosixRlimit,
};
use bulkhead_policy::limits::{CPU_PERIOD, CpuTime, File, Plan, Setting, Total};

/// Files that every node with cgroup v2 and a kubelet has. The others may be missing, and a runtime
/// that is told to write a missing file makes no container at all: those are written afterwards.
const CERTAIN: [File; 5] =
    [File::MemoryMax, File::MemoryHigh, File::CpuMax, File::CpuWeight, File::PidsMax];

/// Whether the file can be tightened below what is used without killing anybody.
pub(super) fn is_harmless(file: &File) -> bool {
    matches!(file, File::CpuMax | File::CpuWeight | File::PidsMax)
}

const OPEN_FILES: &str = "RLIMIT_NOFILE";

/// What a pod asks for.
pub(super) fn asked(resources: &LinuxResources) -> Plan {
    let mut asked = Plan::new();
    let mut amount = |file, value: Option<i64>| {
        if let Some(value) = value.and_then(|value| u64::try_from(value).ok()).filter(|it| *it > 0)
        {
            asked.insert(file, Setting::Amount(Some(value)));
        }
    };
    let memory = resources.memory.unwrap_or_default();
    amount(File::MemoryMax, memory.limit.map(|limit| limit.value));
    amount(File::PidsMax, resources.pids.map(|pids| pids.limit));
    if let (Some(both), Some(limit)) = (memory.swap, memory.limit)
        && both.value >= limit.value
    {
        let swap = u64::try_from(both.value.saturating_sub(limit.value)).ok();
        asked.insert(File::SwapMax, Setting::Amount(swap));
    }
    if let Some(cpu) = &resources.cpu {
        let quota = cpu.quota.and_then(|quota| u64::try_from(quota.value).ok());
        if let Some(quota) = quota.filter(|quota| *quota > 0) {
            let period = cpu.period.map_or(CPU_PERIOD, |period| period.value.max(1));
            asked.insert(File::CpuMax, Setting::Cpu(CpuTime { quota: Some(quota), period }));
        }
        if let Some(shares) = cpu.shares.filter(|shares| shares.value > 0) {
            asked.insert(File::CpuWeight, Setting::Amount(Some(weight(shares.value))));
        }
    }
    for page in &resources.hugepage_limits {
        asked.insert(File::Hugetlb(page.page_size.clone()), Setting::Amount(Some(page.limit)));
    }
    for (name, text) in &resources.unified {
        if let Some((file, setting)) = File::named(name).and_then(|file| {
            let setting = file.parse(text)?;
            Some((file, setting))
        }) {
            asked.insert(file, setting);
        }
    }
    asked
}

/// cgroup v1's shares as cgroup v2's weight, as runtimes reckon it.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

/// What a sum counts of an ask.
pub(super) fn ask_of(asked: &Plan, plan: &Plan) -> Total {
    let lower = |file: &File| {
        let amounts = [asked.get(file), plan.get(file)];
        amounts.into_iter().flatten().filter_map(Setting::amount).min()
    };
    Total {
        memory: lower(&File::MemoryMax),
        cpu: lower(&File::CpuMax),
        pids: lower(&File::PidsMax),
    }
}

/// What of the plan is tighter than what was asked for, for a container that is about to be made.
pub(super) fn tightened(asked: &Plan, plan: &Plan) -> Option<LinuxResources> {
    let unified: BTreeMap<_, _> = CERTAIN
        .iter()
        .filter_map(|file| {
            let bound = plan.get(file)?;
            let asked = asked.get(file).cloned().unwrap_or_else(|| file.open());
            asked.exceeds(bound).then(|| (file.name(), asked.tighter(bound).to_string()))
        })
        .collect();
    (!unified.is_empty()).then(|| LinuxResources { unified, ..LinuxResources::default() })
}

/// An update of a running container that stays within the plan. What was tightened when it was made
/// stands in the runtime's own record by the file's name, and would win over the update: so each
/// file that the update is about is told by its name again.
pub(super) fn clamped(mut update: LinuxResources, plan: &Plan) -> LinuxResources {
    let asked = asked(&update);
    for file in CERTAIN {
        let (Some(wanted), Some(bound)) = (asked.get(&file), plan.get(&file)) else { continue };
        let held = wanted.tighter(bound);
        update.unified.insert(file.name(), held.to_string());
        match (&file, &held) {
            (File::MemoryMax, Setting::Amount(Some(limit))) => {
                let value = i64::try_from(*limit).unwrap_or(i64::MAX);
                let memory = update.memory.get_or_insert_with(LinuxMemory::default);
                memory.limit = Some(OptionalInt64 { value });
            }
            (File::CpuMax, Setting::Cpu(time)) => {
                let cpu = update.cpu.get_or_insert_with(LinuxCpu::default);
                let quota = time.quota.and_then(|quota| i64::try_from(quota).ok());
                cpu.quota = quota.map(|value| OptionalInt64 { value });
                cpu.period = Some(OptionalUInt64 { value: time.period });
            }
            _ => {}
        }
    }
    update
}

/// The first file in which a container would be allowed more than its plan says.
pub(super) fn looser(
    asked: &Plan,
    adjusted: Option<&LinuxResources>,
    plan: &Plan,
) -> Option<String> {
    let mut made = asked.clone();
    if let Some(adjusted) = adjusted {
        made.extend(self::asked(adjusted));
    }
    CERTAIN.iter().find_map(|file| {
        let bound = plan.get(file)?;
        let loose = made.get(file).cloned().unwrap_or_else(|| file.open()).exceeds(bound);
        loose.then(|| file.name())
    })
}

/// The limit of open files for a container that has none of its own: a runtime appends what it is
/// told, and two of a kind are an error.
pub(super) fn rlimits(existing: &[PosixRlimit], open_files: Option<u64>) -> Vec<PosixRlimit> {
    let own = existing.iter().any(|limit| limit.r#type == OPEN_FILES);
    let most = open_files.filter(|_| !own);
    most.map(|most| PosixRlimit { r#type: OPEN_FILES.to_owned(), hard: most, soft: most })
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use bulkhead_nri::api::{HugepageLimit, LinuxPids};

    use super::*;

    fn limited(memory: i64, quota: i64) -> LinuxResources {
        LinuxResources {
            memory: Some(LinuxMemory {
                limit: Some(OptionalInt64 { value: memory }),
                ..LinuxMemory::default()
            }),
            cpu: Some(LinuxCpu {
                quota: Some(OptionalInt64 { value: quota }),
                period: Some(OptionalUInt64 { value: 100_000 }),
                shares: Some(OptionalUInt64 { value: 1_024 }),
                ..LinuxCpu::default()
            }),
            ..LinuxResources::default()
        }
    }

    fn plan(entries: &[(&str, &str)]) -> Plan {
        let entry = |(name, text): &(&str, &str)| {
            let file = File::named(name).unwrap();
            let setting = file.parse(text).unwrap();
            (file, setting)
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn what_a_pod_asks_for_is_read_in_every_form() {
        let mut resources = limited(1 << 30, 50_000);
        resources.pids = Some(LinuxPids { limit: 7 });
        resources.hugepage_limits = vec![HugepageLimit { page_size: "2MB".into(), limit: 4 << 20 }];
        resources.unified.insert("memory.high".into(), "900000".into());
        resources.unified.insert("memory.oom.group".into(), "1".into());
        assert_eq!(
            asked(&resources),
            plan(&[
                ("memory.max", "1073741824"),
                ("memory.high", "900000"),
                ("cpu.max", "50000 100000"),
                ("cpu.weight", "39"),
                ("pids.max", "7"),
                ("hugetlb.2MB.max", "4194304"),
            ])
        );
        assert_eq!(asked(&limited(-1, -1)), plan(&[("cpu.weight", "39")]), "-1 is no limit");
    }

    #[test]
    fn only_what_asks_for_more_than_the_plan_is_adjusted() {
        let level =
            plan(&[("memory.max", "536870912"), ("pids.max", "100"), ("cpu.max", "max 100000")]);
        let unified = |asked: &Plan| tightened(asked, &level).map(|it| it.unified);
        let pids = ("pids.max".to_owned(), "100".to_owned());
        let modest = asked(&limited(1 << 20, 50_000));
        assert_eq!(unified(&modest), Some([pids.clone()].into()));
        let greedy = asked(&limited(1 << 30, 50_000));
        let memory = ("memory.max".to_owned(), "536870912".to_owned());
        assert_eq!(unified(&greedy), Some([memory, pids].into()));
        assert_eq!(tightened(&greedy, &Plan::new()), None);
    }

    #[test]
    fn files_that_a_node_may_lack_never_stop_a_container() {
        let level =
            plan(&[("io.max", "8:0 rbps=1"), ("memory.swap.max", "0"), ("hugetlb.2MB.max", "0")]);
        assert_eq!(tightened(&Plan::new(), &level), None);
    }

    #[test]
    fn an_update_cannot_exceed_the_level_and_may_go_down() {
        let level = plan(&[("memory.max", "536870912"), ("cpu.max", "50000 100000")]);
        let up = clamped(limited(1 << 30, 200_000), &level);
        assert_eq!(up.memory.unwrap().limit.unwrap().value, 512 << 20);
        assert_eq!(up.cpu.as_ref().unwrap().quota.unwrap().value, 50_000);
        assert_eq!(up.unified["memory.max"], "536870912");
        let down = clamped(limited(64 << 20, 10_000), &level);
        assert_eq!(down.memory.unwrap().limit.unwrap().value, 64 << 20);
        assert_eq!(down.unified["memory.max"], (64 << 20).to_string());
        assert_eq!(down.unified["cpu.max"], "10000 100000");
    }

    #[test]
    fn a_result_that_allows_more_is_found() {
        let level = plan(&[("memory.max", "536870912")]);
        let asked = asked(&limited(1 << 30, 50_000));
        assert_eq!(looser(&asked, None, &level).as_deref(), Some("memory.max"));
        let adjusted = tightened(&asked, &level);
        assert_eq!(looser(&asked, adjusted.as_ref(), &level), None);
        let other = limited(2 << 30, 50_000);
        assert_eq!(looser(&asked, Some(&other), &level).as_deref(), Some("memory.max"));
    }

    #[test]
    fn a_container_with_limits_of_its_own_keeps_them() {
        let own = PosixRlimit { r#type: OPEN_FILES.into(), hard: 9, soft: 9 };
        assert!(rlimits(&[own], Some(5)).is_empty());
        assert_eq!(rlimits(&[], Some(5))[0].hard, 5);
        assert!(rlimits(&[], None).is_empty());
    }
}
