//! Profiles learned and merged.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::collections::BTreeSet;

use bulkhead_seccomp::{
    Action, Arch, Rule, Simulation, calls, diff,
    learn::{self, MergeError, Observed},
    levels, parse, write,
};

fn level(name: &str) -> Simulation {
    Simulation::of(&levels::profile(name).unwrap().unwrap()).unwrap()
}

fn observed(names: &[&str]) -> Observed {
    let arch = Arch::X86_64;
    let mut observed = Observed::default();
    for name in names {
        observed.calls.insert((arch, calls::number(arch, name).unwrap()), 7);
    }
    observed
}

fn families(families: &[u64]) -> Observed {
    let mut observed = observed(&["socket"]);
    let key = (Arch::X86_64, calls::number(Arch::X86_64, "socket").unwrap(), 0);
    observed.values.insert(key, families.iter().copied().collect::<BTreeSet<_>>());
    observed
}

fn executes(simulation: &Simulation, call: &str, arguments: [u64; 6]) -> bool {
    simulation.ask(Arch::X86_64, call, arguments).unwrap().unwrap().action.executes()
}

fn socket(simulation: &Simulation, family: u64, kind: u64) -> bool {
    executes(simulation, "socket", [family, kind, 0, 0, 0, 0])
}

#[test]
fn what_was_seen_is_allowed_and_what_never_happened_is_refused() {
    let seen = observed(&["inotify_init1", "timerfd_create", "write"]);
    let learned = learn::profile(&seen, "semi-trusted", &level("semi-trusted")).unwrap();
    assert_eq!(learned.refused, []);
    let simulation = Simulation::of(&learned.profile).unwrap();
    for call in ["inotify_init1", "timerfd_create", "write", "execve", "clone", "exit_group"] {
        assert!(executes(&simulation, call, [0; 6]), "{call}");
    }
    for call in ["inotify_add_watch", "shmget", "mount", "ptrace", "clone3"] {
        assert!(!executes(&simulation, call, [0; 6]), "{call}");
    }
    assert!(!executes(&simulation, "clone", [0x1000_0000, 0, 0, 0, 0, 0]));
}

#[test]
fn what_the_level_forbids_is_marked_and_stays_refused() {
    let seen = observed(&["ptrace", "bpf", "timerfd_create"]);
    let learned = learn::profile(&seen, "untrusted", &level("untrusted")).unwrap();
    let refused: Vec<_> = learned.refused.iter().map(|one| one.call.as_str()).collect();
    assert_eq!(refused, ["ptrace", "bpf"]);
    assert!(
        diff::tightens(&level("untrusted"), &Simulation::of(&learned.profile).unwrap()).unwrap()
    );
    let text = write::to_text(&learned.profile);
    assert!(text.contains("Seen 7 times and refused: beyond the level untrusted"), "{text}");
}

#[test]
fn no_profile_that_was_learned_goes_beyond_its_level() {
    let everything: Vec<_> = calls::all(Arch::X86_64).into_iter().map(|(name, _)| name).collect();
    for name in levels::LEVELS {
        let mut seen = observed(&everything);
        seen.values = families(&[1, 2, 10, 16, 17, 38, 40]).values;
        let learned = learn::profile(&seen, name, &level(name)).unwrap();
        let beyond = Simulation::of(&learned.profile).unwrap();
        assert_eq!(diff::allowed_beyond(&beyond, &level(name)).unwrap(), [], "{name}");
    }
}

#[test]
fn what_the_runtime_needs_is_held_to_the_level_too() {
    const TIOCSTI: u64 = 0x5412;
    let level = level("untrusted");
    let learned = learn::profile(&observed(&["read"]), "untrusted", &level).unwrap();
    let own = Simulation::of(&learned.profile).unwrap();
    assert!(executes(&own, "ioctl", [0, 0x5413, 0, 0, 0, 0]));
    assert!(!executes(&own, "ioctl", [0, TIOCSTI, 0, 0, 0, 0]));
    assert!(diff::tightens(&level, &own).unwrap());
    // A profile that allows the one value that the level refuses is found out.
    let mut wider = learned.profile;
    wider.rules.push(Rule::of(Action::Allow, ["ioctl".to_owned()], ""));
    let found = diff::allowed_beyond(&Simulation::of(&wider).unwrap(), &level).unwrap();
    assert!(found.iter().any(|difference| difference.call == "ioctl"), "{found:?}");
}

#[test]
fn a_socket_is_allowed_for_the_families_that_were_seen() {
    for name in levels::LEVELS {
        let learned = learn::profile(&families(&[1, 2, 38]), name, &level(name)).unwrap();
        let simulation = Simulation::of(&learned.profile).unwrap();
        assert!(socket(&simulation, 1, 1) && socket(&simulation, 2, 1), "{name}");
        assert!(!socket(&simulation, 10, 1) && !socket(&simulation, 38, 5), "{name}");
        let refused: Vec<_> =
            learned.refused.iter().map(|one| (one.call.as_str(), one.value)).collect();
        assert_eq!(refused, [("socket", Some(38))], "{name}");
    }
}

#[test]
fn values_that_were_lost_do_not_make_a_rule_too_narrow() {
    let mut seen = families(&[1]);
    seen.values_lost = 1;
    let learned = learn::profile(&seen, "semi-trusted", &level("semi-trusted")).unwrap();
    let simulation = Simulation::of(&learned.profile).unwrap();
    assert!(socket(&simulation, 2, 1), "as the level allows");
    assert!(!socket(&simulation, 38, 5));
}

#[test]
fn replicas_are_merged_to_what_any_of_them_needs() {
    let ceiling = level("semi-trusted");
    let [one, two] = [observed(&["inotify_init1"]), families(&[1])]
        .map(|seen| learn::profile(&seen, "semi-trusted", &ceiling).unwrap().profile);
    let both = Simulation::of(&learn::merge(&[one.clone(), two.clone()]).unwrap()).unwrap();
    for part in [&one, &two] {
        let part = Simulation::of(part).unwrap();
        assert_eq!(diff::allowed_beyond(&part, &both).unwrap(), []);
    }
    assert!(diff::tightens(&ceiling, &both).unwrap());
    assert!(!socket(&both, 2, 1));
    let again = learn::merge(&[one.clone(), one.clone()]).unwrap();
    let (one, again) = (Simulation::of(&one).unwrap(), Simulation::of(&again).unwrap());
    assert!(diff::tightens(&one, &again).unwrap() && diff::tightens(&again, &one).unwrap());
}

#[test]
fn a_profile_that_allows_by_default_cannot_be_merged() {
    let open = parse(br#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap().profile;
    let closed = parse(br#"{"defaultAction":"SCMP_ACT_ERRNO"}"#).unwrap().profile;
    let kills = parse(br#"{"defaultAction":"SCMP_ACT_KILL"}"#).unwrap().profile;
    assert_eq!(learn::merge(&[closed.clone(), open]), Err(MergeError::Permissive(1)));
    assert_eq!(learn::merge(&[closed, kills]), Err(MergeError::Default(1)));
    assert_eq!(learn::merge(&[]), Err(MergeError::Nothing));
}

#[test]
fn a_trial_says_what_would_be_refused_of_what_was_seen() {
    let ceiling = level("semi-trusted");
    let learned = learn::profile(&observed(&["inotify_init1"]), "semi-trusted", &ceiling).unwrap();
    let profile = Simulation::of(&learned.profile).unwrap();
    let mut seen = observed(&["inotify_init1", "write", "shmget", "clone", "socket"]);
    seen.values = families(&[2]).values;
    let refused = learn::would_refuse(&seen, &profile).unwrap();
    let refused: Vec<_> = refused.iter().map(|one| (one.call.as_str(), one.value)).collect();
    assert_eq!(refused, [("shmget", None), ("socket", Some(2))]);
    assert_eq!(learn::would_refuse(&seen, &ceiling).unwrap(), []);
}

#[test]
fn a_trial_loosens_nothing_that_the_level_refuses() {
    for name in levels::LEVELS {
        let ceiling = level(name);
        let learned = learn::profile(&observed(&["inotify_init1"]), name, &ceiling).unwrap();
        let relaxed = learn::relaxed(&learned.profile, ceiling.profile());
        let relaxed = Simulation::of(&relaxed).unwrap();
        assert!(diff::tightens(&ceiling, &relaxed).unwrap(), "{name}");
        assert!(diff::tightens(&relaxed, &ceiling).unwrap(), "{name}: everything else is made");
        let answer = |call| relaxed.ask(Arch::X86_64, call, [0; 6]).unwrap().unwrap().action;
        assert_eq!(answer("inotify_init1"), bulkhead_seccomp::Action::Allow);
        assert_eq!(answer("shmget"), bulkhead_seccomp::Action::Log);
        assert_eq!(answer("clone3"), bulkhead_seccomp::Action::Errno(38));
    }
}

#[test]
fn what_is_told_is_refused_all_the_same_and_a_fallback_is_not_told() {
    for name in levels::LEVELS {
        let ceiling = level(name);
        let told = learn::told(ceiling.profile(), "/run/x.sock");
        let text = write::to_text(&told);
        assert_eq!(parse(text.as_bytes()).unwrap().profile, told, "{name}");
        let told = Simulation::of(&told).unwrap();
        let answer = |call| told.ask(Arch::X86_64, call, [0; 6]).unwrap().unwrap().action;
        assert_eq!(answer("keyctl"), bulkhead_seccomp::Action::Notify);
        assert_eq!(answer("clone3"), bulkhead_seccomp::Action::Errno(38));
        assert_eq!(answer("read"), bulkhead_seccomp::Action::Allow);
        for (call, _) in calls::all(Arch::X86_64) {
            let made = executes(&told, call, [0; 6]);
            assert_eq!(made, executes(&ceiling, call, [0; 6]), "{name} {call}");
        }
    }
}
