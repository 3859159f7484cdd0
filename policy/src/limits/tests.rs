use proptest::prelude::*;

use super::*;
use crate::{Assignment, Policy, configuration};

fn policy(text: &str) -> Policy {
    configuration::read("c.yaml", text).unwrap_or_else(|refused| panic!("{refused}")).policy
}

fn refusal(text: &str) -> String {
    configuration::read("c.yaml", text).unwrap_err().to_string()
}

fn of(tenant: &str) -> Assignment {
    Assignment { tenant: tenant.into(), level: String::new(), exception: None, named: true }
}

const FULL: &str = "
levels:
  - name: small
    extends: trusted
    onError: refuse
    limits:
      memory: 512Mi
      memoryHigh: 400Mi
      swap: 0
      cpu: 500m
      cpuWeight: 50
      pids: 200
      io: { readBytes: 10Mi, writeOperations: 100 }
      hugetlb: { 2Mi: 64Mi, 1Gi: 0 }
      openFiles: 1024
      oomScore: 500
tenants:
  - { name: a, level: small, namespaces: [a] }
  - name: b
    level: small
    namespaces: [b]
    limits: { pids: 50, cpu: none, io: { readBytes: none } }
    tenantLimits: { memory: 2Gi, cpu: 1.5, pids: 1k }
";

#[test]
fn a_tenant_has_its_level_s_limits_but_for_what_it_says_itself() {
    let policy = policy(FULL);
    let a = policy.level_of(&of("a")).limits();
    assert_eq!(a.memory, Some(512 << 20));
    assert_eq!((a.memory_high, a.swap, a.cpu), (Some(400 << 20), Some(0), Some(500)));
    assert_eq!((a.cpu_weight, a.pids, a.open_files), (Some(50), Some(200), Some(1024)));
    assert_eq!((a.io.read_bytes, a.io.write_operations), (Some(10 << 20), Some(100)));
    assert_eq!(a.hugetlb, BTreeMap::from([("2MB".into(), 64 << 20), ("1GB".into(), 0)]));
    assert_eq!(a.oom_score, Some(500));
    let b = policy.level_of(&of("b")).limits();
    assert_eq!((b.memory, b.pids, b.cpu), (Some(512 << 20), Some(50), None));
    assert_eq!((b.io.read_bytes, b.io.write_operations), (None, Some(100)));
    assert_eq!(policy.level_of(&of("b")).on_error(), OnError::Refuse);
    let sum = policy.tenant("b").unwrap().limits();
    let expected = TenantLimits { memory: Some(2 << 30), cpu: Some(1_500), pids: Some(1_000) };
    assert_eq!(sum, expected);
    assert!(policy.tenant("a").unwrap().limits().is_empty());
}

#[test]
fn a_limit_that_cannot_be_is_refused_where_it_stands() {
    let level = |limits: &str| format!("levels:\n  - name: x\n    limits: {{ {limits} }}\n");
    for (limits, words) in [
        ("memory: 5", "c.yaml:3:15: levels[0].limits.memory: 5 is out of range"),
        ("memory: 1GB", "\"1GB\" is no quantity; write one as Kubernetes does"),
        ("memory: -1", "-1 given; write a quantity such as 512Mi"),
        ("memory: true", "the boolean true given; write a quantity"),
        ("memory: 64Mi, memoryHigh: 65Mi", "levels[0].limits.memoryHigh: 68157440 is out of range"),
        ("cpu: 1m", "levels[0].limits.cpu: 1 is out of range; write a number from 10"),
        ("pids: 0", "levels[0].limits.pids: 0 is out of range"),
        ("cpuWeight: 10001", "levels[0].limits.cpuWeight: 10001 is out of range"),
        (
            "hugetlb: { 3Mi: 1Gi }",
            "levels[0].limits.hugetlb.3Mi: \"3Mi\" is no size of a huge page",
        ),
        ("io: { bytes: 1 }", "levels[0].limits.io.bytes: unknown key \"bytes\""),
        ("oomScore: -5", "levels[0].limits.oomScore"),
        ("pids: 99999999999999999999", "levels[0].limits.pids"),
    ] {
        let refusal = refusal(&level(limits));
        assert!(refusal.contains(words), "{limits}: {refusal}");
    }
}

#[test]
fn the_built_in_levels_stop_a_fork_bomb_where_they_block_and_nowhere_else() {
    let level = |name: &str| {
        let level = crate::level::built_in().unwrap().into_iter().find(|it| it.name() == name);
        level.unwrap()
    };
    assert!(level("trusted").limits().is_empty());
    assert!(level("semi-trusted").limits().pids.is_some());
    assert!(level("untrusted").limits().pids < level("semi-trusted").limits().pids);
    assert_eq!(level("untrusted").on_error(), OnError::Refuse);
    assert_eq!(level("trusted").on_error(), OnError::Admit);
}

#[test]
fn a_plan_holds_the_tighter_of_level_and_part() {
    let policy = policy(FULL);
    let limits = policy.level_of(&of("a")).limits();
    let disks = ["8:0".to_owned(), "259:0".to_owned()];
    let alone = plan(limits, Total::default(), &disks);
    let text = |plan: &Plan, file| plan.get(&file).map(ToString::to_string);
    assert_eq!(text(&alone, File::MemoryMax).as_deref(), Some("536870912"));
    assert_eq!(text(&alone, File::MemoryHigh).as_deref(), Some("419430400"));
    assert_eq!(text(&alone, File::CpuMax).as_deref(), Some("50000 100000"));
    assert_eq!(
        alone[&File::IoMax].lines(),
        [
            "259:0 rbps=10485760 wbps=max riops=max wiops=100",
            "8:0 rbps=10485760 wbps=max riops=max wiops=100",
        ]
    );
    let part = Total { memory: Some(256 << 20), cpu: Some(900), pids: Some(9) };
    let crowded = plan(limits, part, &[]);
    assert_eq!(text(&crowded, File::MemoryMax).as_deref(), Some("268435456"));
    assert_eq!(text(&crowded, File::MemoryHigh), None, "it would come after the end");
    assert_eq!(text(&crowded, File::CpuMax).as_deref(), Some("50000 100000"));
    assert_eq!(text(&crowded, File::PidsMax).as_deref(), Some("9"));
    assert_eq!(text(&crowded, File::IoMax), None);
}

#[test]
fn what_the_kernel_writes_is_read_and_written_again() {
    for (file, text) in [
        (File::MemoryMax, "max"),
        (File::MemoryMax, "536870912"),
        (File::CpuMax, "max 100000"),
        (File::CpuMax, "5000 20000"),
        (File::IoMax, "8:16 rbps=2097152 wbps=max riops=max wiops=120"),
        (File::Hugetlb("2MB".into()), "0"),
    ] {
        assert_eq!(File::named(&file.name()).as_ref(), Some(&file));
        assert_eq!(file.parse(&format!("{text}\n")).unwrap().to_string(), text);
    }
    assert_eq!(File::IoMax.parse("").unwrap(), Setting::Io(BTreeMap::new()));
    for garbage in ["", "x", "-1", "max max", "1 0"] {
        assert_eq!(File::CpuMax.parse(garbage), None, "{garbage:?}");
    }
    for name in ["memory.min", "hugetlb.2MB.rsvd.max", "hugetlb.../x.max", "cgroup.procs", ""] {
        assert_eq!(File::named(name), None, "{name:?}");
    }
}

#[test]
fn only_what_allows_more_exceeds() {
    let cpu = |text: &str| File::CpuMax.parse(text).unwrap();
    assert!(cpu("max 100000").exceeds(&cpu("50000 100000")));
    assert!(cpu("20000 20000").exceeds(&cpu("50000 100000")));
    assert!(!cpu("10000 20000").exceeds(&cpu("50000 100000")), "half of a processor either way");
    assert!(!cpu("4000 20000").exceeds(&cpu("50000 100000")));
    let io = |text: &str| File::IoMax.parse(text).unwrap();
    let bound = io("8:0 rbps=100 wbps=max riops=max wiops=max");
    assert!(io("").exceeds(&bound));
    assert!(!io("").exceeds(&io("8:0 rbps=max wbps=max riops=max wiops=max")));
    assert_eq!(io("").lines_after(&bound), ["8:0 rbps=max wbps=max riops=max wiops=max"]);
    assert!(!io("8:0 rbps=50 wbps=max riops=max wiops=max").exceeds(&bound));
    assert_eq!(
        io("8:0 rbps=max wbps=7 riops=max wiops=max").tighter(&bound).to_string(),
        "8:0 rbps=100 wbps=7 riops=max wiops=max"
    );
}

proptest! {
    #[test]
    fn tightening_never_loosens(
        one in prop::option::of(any::<u64>()),
        two in prop::option::of(any::<u64>()),
        periods in (1_000_u64..1_000_000, 1_000_u64..1_000_000),
    ) {
        let (a, b) = (Setting::Amount(one), Setting::Amount(two));
        let both = a.tighter(&b);
        prop_assert!(!both.exceeds(&a) && !both.exceeds(&b));
        let (a, b) = (
            Setting::Cpu(CpuTime { quota: one, period: periods.0 }),
            Setting::Cpu(CpuTime { quota: two, period: periods.1 }),
        );
        let both = a.tighter(&b);
        prop_assert!(!both.exceeds(&a) && !both.exceeds(&b));
    }

    #[test]
    fn no_content_of_a_file_brings_the_reader_down(text in ".{0,60}") {
        for file in [File::MemoryMax, File::CpuMax, File::IoMax] {
            let _ = file.parse(&text);
        }
    }
}
