use super::*;
use crate::level;

const CONFINED: &str = "Name:\tcat\nUmask:\t0022\nCapInh:\t0000000000000000\n\
    CapPrm:\t00000000000000c0\nCapEff:\t00000000000000c0\nCapBnd:\t00000000000000c0\n\
    CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
const ROOT: &str = "Name:\tsh\nCapInh:\t0\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n\
    CapBnd:\t000001ffffffffff\nCapAmb:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n";

const MASKS: &str = "\
100 99 0:50 / / rw - overlay overlay rw
101 100 0:51 / /proc rw,nosuid - proc proc rw
102 101 0:52 /null /proc/kcore rw - devtmpfs udev rw
103 101 0:51 /sys /proc/sys ro - proc proc rw
104 101 0:53 / /proc/acpi ro - tmpfs tmpfs ro
105 100 0:54 / /sys ro,nosuid - sysfs sysfs ro
106 105 0:55 / /sys/firmware ro - tmpfs tmpfs ro
107 101 0:51 /bus /proc/bus ro - proc proc rw
108 101 0:51 /fs /proc/fs ro - proc proc rw
109 101 0:51 /irq /proc/irq ro - proc proc rw
110 101 0:51 /sysrq-trigger /proc/sysrq-trigger ro - proc proc rw
";

fn here(path: &str) -> bool {
    ["/proc/kcore", "/proc/acpi", "/sys/firmware"].contains(&path) || READ_ONLY.contains(&path)
}

fn confined() -> Effective {
    Effective {
        processes: 1,
        status: Status::parse(CONFINED).unwrap(),
        label: Some(Label::parse("cri-containerd.apparmor.d (enforce)\n")),
        uids: Vec::new(),
        gids: Vec::new(),
        own_user_namespace: true,
        shared_namespaces: Vec::new(),
        exposed: Exposure::of(MASKS, here),
        runtime_device_program: Some(true),
    }
}

fn open() -> Effective {
    Effective {
        status: Status::parse(ROOT).unwrap(),
        label: Some(Label::parse("unconfined\n")),
        own_user_namespace: false,
        shared_namespaces: vec!["net", "pid"],
        exposed: Exposure::of("1 0 0:1 / /proc rw - proc proc rw\n", here),
        ..confined()
    }
}

const NODE: Node = Node {
    app_armor: true,
    guards_ceiling: false,
    devices: DeviceGuard::Refuses,
    granted: Devices::Granted(2),
};
const PRIVILEGED: Node = Node { granted: Devices::All, ..NODE };

fn states(level: &str, effective: &Effective, node: Node) -> Vec<State> {
    let levels = level::built_in().unwrap();
    let level = levels.iter().find(|it| it.name() == level).unwrap();
    let findings = compare(level.controls(), level.ceiling(), effective, node);
    findings.iter().map(|finding| finding.state).collect()
}

#[test]
fn a_container_that_has_everything_is_in_force_at_every_level() {
    for level in ["trusted", "semi-trusted", "untrusted"] {
        assert_eq!(states(level, &confined(), NODE), [State::InForce; 8], "{level}");
    }
}

#[test]
fn a_privileged_container_drifts_in_everything_that_its_level_requires() {
    let untrusted = states("untrusted", &open(), PRIVILEGED);
    // What its runtime granted is no drift: the rules of disks and of memory decide.
    assert_eq!(untrusted, [&[State::Drift; 7][..], &[State::Absent]].concat());
    let trusted = states("trusted", &open(), PRIVILEGED);
    assert!(!trusted.contains(&State::Drift), "{trusted:?}");
}

#[test]
fn a_ceiling_that_the_guard_keeps_is_guarded_and_not_drift() {
    let node = Node { guards_ceiling: true, ..NODE };
    let at = Control::ALL.iter().position(|it| *it == Control::Capabilities).unwrap();
    assert_eq!(states("untrusted", &open(), node)[at], State::Guarded);
}

#[test]
fn devices_are_in_force_where_the_guard_knows_what_was_granted_and_refuses_the_rest() {
    let state = |devices, granted| {
        let node = Node { devices, granted, ..NODE };
        let findings = compare(Default::default(), Capabilities::ALL, &confined(), node);
        findings.iter().find(|it| it.control == Control::Devices).unwrap().state
    };
    use DeviceGuard::{Refuses, Tells, Unavailable};
    assert_eq!(state(Refuses, Devices::Granted(0)), State::InForce);
    assert_eq!(state(Refuses, Devices::Unknown), State::Unavailable);
    assert_eq!(state(Unavailable, Devices::Granted(0)), State::Unavailable);
    assert_eq!(state(Tells, Devices::Granted(0)), State::Absent);
    assert_eq!(state(Refuses, Devices::All), State::Absent);
}

#[test]
fn a_runtime_s_device_program_that_is_gone_is_drift_where_the_level_refuses_devices() {
    let found = |program, devices, granted| {
        let effective = Effective { runtime_device_program: program, ..confined() };
        let node = Node { devices, granted, ..NODE };
        let findings = compare(Default::default(), Capabilities::ALL, &effective, node);
        findings.into_iter().find(|it| it.control == Control::Devices).unwrap()
    };
    use DeviceGuard::{Refuses, Tells, Unavailable};
    for guard in [Refuses, Unavailable] {
        let finding = found(Some(false), guard, Devices::Granted(1));
        assert_eq!(finding.state, State::Drift, "{guard:?}");
        assert!(finding.effective.contains("is gone"), "{}", finding.effective);
    }
    assert_eq!(found(Some(false), Tells, Devices::Granted(1)).state, State::Absent);
    // Run by hand, or without limits of devices: none was ever attached.
    assert_eq!(found(Some(false), Refuses, Devices::Unknown).state, State::Unavailable);
    assert_eq!(found(Some(false), Refuses, Devices::All).state, State::Absent);
    // Not looked for: nothing is said of it.
    assert_eq!(found(None, Refuses, Devices::Granted(1)).state, State::InForce);
}

#[test]
fn a_nested_cgroup_without_a_device_program_makes_the_container_loose() {
    let program = |has| Effective { runtime_device_program: has, ..confined() };
    for (one, two, both) in [
        (Some(true), Some(false), Some(false)),
        (None, Some(false), Some(false)),
        (Some(true), None, Some(true)),
    ] {
        assert_eq!(program(one).weakest(program(two)).runtime_device_program, both);
    }
}

#[test]
fn a_node_without_app_armor_is_told_from_a_container_without_a_profile() {
    let at = Control::ALL.iter().position(|it| *it == Control::AppArmor).unwrap();
    let without = Node { app_armor: false, ..NODE };
    let bare = Effective { label: None, ..confined() };
    assert_eq!(states("untrusted", &bare, without)[at], State::Unavailable);
    assert_eq!(states("untrusted", &bare, NODE)[at], State::Drift);
}

#[test]
fn one_loose_process_makes_the_container_loose() {
    let both = confined().weakest(open());
    assert_eq!(both.processes, 2);
    assert_eq!(states("untrusted", &both, NODE)[..7], [State::Drift; 7]);
    assert_eq!(open().weakest(confined()).status, both.status);
}

#[test]
fn labels_are_told_by_their_mode() {
    for (text, confinement) in [
        ("unconfined\n", Confinement::Unconfined),
        ("a (enforce)", Confinement::Enforce),
        ("a//b (complain)\n", Confinement::Complain),
        ("name (with) brackets (enforce)", Confinement::Enforce),
        ("free (unconfined)", Confinement::Unconfined),
        // A profile may be called anything; the mode is what stands last.
        ("x (enforce) (complain)", Confinement::Complain),
    ] {
        assert_eq!(Label::parse(text).confinement, confinement, "{text}");
    }
}

#[test]
fn a_name_does_not_pass_for_a_field() {
    let text = CONFINED.replace("Name:\tcat", "Name:\tSeccomp: 0");
    assert_eq!(Status::parse(&text).unwrap().seccomp, Seccomp::Filter(1));
}

#[test]
fn a_status_that_lacks_a_line_is_an_error_that_names_it() {
    let text = CONFINED.replace("NoNewPrivs:\t1\n", "");
    assert_eq!(Status::parse(&text), Err(status::StatusError::Missing("NoNewPrivs")));
    let text = CONFINED.replace("CapBnd:\t00000000000000c0", "CapBnd:\tzz");
    assert!(Status::parse(&text).unwrap_err().to_string().contains("CapBnd"));
}

#[test]
fn masks_count_only_on_the_proc_that_is_seen() {
    assert!(Exposure::of(MASKS, here).is_nothing());
    let fresh = format!("{MASKS}120 101 0:60 / /proc rw - proc proc rw\n");
    let exposed = Exposure::of(&fresh, here);
    assert_eq!(exposed.unmasked, ["/proc/acpi", "/proc/kcore"].into());
    assert!(exposed.writable.contains("/proc/sys"));
}

#[test]
fn an_unmounted_mask_is_exposed() {
    let without = MASKS.replace("102 101 0:52 /null /proc/kcore rw - devtmpfs udev rw\n", "");
    assert_eq!(Exposure::of(&without, here).unmasked, ["/proc/kcore"].into());
}

#[test]
fn a_file_bound_over_itself_is_no_mask() {
    let bound = MASKS.replace(
        "102 101 0:52 /null /proc/kcore rw - devtmpfs udev rw",
        "102 101 0:51 /kcore /proc/kcore rw - proc proc rw",
    );
    assert_eq!(Exposure::of(&bound, here).unmasked, ["/proc/kcore"].into());
}

#[test]
fn a_container_without_proc_exposes_nothing() {
    assert!(Exposure::of("100 99 0:50 / / rw - overlay overlay rw\n", here).is_nothing());
}

#[test]
fn overlapping_ids_of_two_tenants_are_found_and_of_one_tenant_not() {
    let range = |outside, count| IdRange { inside: 0, outside, count };
    let owned = [
        ("a", 1, range(100_000, 65_536)),
        ("b", 2, range(165_536, 65_536)),
        ("a", 3, range(100_000, 65_536)),
        ("b", 4, range(160_000, 10)),
    ];
    let found: Vec<_> =
        overlaps(&owned).iter().map(|it| (it.one, it.other, it.first, it.last)).collect();
    assert_eq!(found, [(1, 4, 160_000, 160_009), (3, 4, 160_000, 160_009)]);
}

#[test]
fn a_range_to_the_end_of_all_ids_overlaps_the_last() {
    let range = |outside, count| IdRange { inside: 0, outside, count };
    let owned = [("a", 1, range(0, u32::MAX)), ("b", 2, range(u32::MAX - 1, 1))];
    assert_eq!(overlaps(&owned).len(), 1);
}

#[test]
fn id_maps_are_three_numbers_a_line() {
    let map = IdRange::parse_map("         0     100000      65536\n").unwrap();
    assert_eq!(map, [IdRange { inside: 0, outside: 100_000, count: 65_536 }]);
    assert_eq!(map[0].to_string(), "100000-165535");
    assert_eq!(IdRange::parse_map("0 1\n"), None);
    assert_eq!(IdRange::parse_map("0 1 2 3\n"), None);
    assert_eq!(IdRange::parse_map(""), Some(Vec::new()));
}

#[test]
fn a_tenant_changes_single_controls() {
    let text = "levels:\n  - name: own\n    extends: untrusted\n    controls:\n      \
        userNamespace: optional\n";
    let settings = crate::configuration::read("test", text).unwrap();
    let level = settings.policy.levels().iter().find(|it| it.name() == "own").unwrap();
    assert!(!level.controls().user_namespace.is_required());
    assert!(level.controls().seccomp.is_required());
}
