//! The built-in profiles: what their source says, what each level refuses and allows.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "levels/behaviours.rs"]
mod behaviours;
#[path = "levels/kernel.rs"]
mod kernel;
#[path = "levels/source.rs"]
mod source;

use bulkhead_seccomp::{Action, Arch, Simulation, diff, levels, parse, write};

use crate::source::Source;

fn simulation(level: &str) -> Simulation {
    Simulation::of(&levels::profile(level).unwrap().unwrap()).unwrap()
}

/// `BLESS=1` writes them.
#[test]
fn the_profiles_are_what_their_source_says() {
    let source = Source::read();
    for level in levels::LEVELS {
        let text = write::to_text(&source.profile(level));
        let path = format!("{}/../profiles/seccomp/{level}.json", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap();
        assert!(there == text, "{path} is not what rules.yaml says; BLESS=1 writes it");
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.unknown_fields, Vec::<String>::new());
        assert_eq!(parsed.profile, source.profile(level), "{level} reads as it was written");
    }
}

#[test]
fn a_stricter_level_allows_nothing_that_a_looser_one_refuses() {
    for pair in levels::LEVELS.windows(2) {
        let (loose, strict) = (simulation(pair[0]), simulation(pair[1]));
        assert_eq!(diff::allowed_beyond(&strict, &loose).unwrap(), [], "{pair:?}");
        assert_ne!(diff::allowed_beyond(&loose, &strict).unwrap(), [], "{pair:?}");
        assert!(diff::tightens(&loose, &strict).unwrap());
        assert!(!diff::tightens(&strict, &loose).unwrap());
    }
}

#[test]
fn every_rule_says_who_needs_it_and_every_refusal_its_error() {
    for level in levels::LEVELS {
        let profile = levels::profile(level).unwrap().unwrap();
        for rule in &profile.rules {
            assert!(rule.comment.len() > 5, "{level}: {:?}", rule.names);
            assert_eq!(
                rule.errno_given,
                matches!(rule.action, Action::Errno(_)),
                "{:?}",
                rule.names
            );
        }
        // Survives a runtime that drops the default's error.
        assert_eq!(profile.default_action, Action::Errno(1));
    }
}

#[test]
fn every_call_of_the_kernel_was_considered() {
    for level in levels::LEVELS {
        let profile = levels::profile(level).unwrap().unwrap();
        let named = |call: &str| {
            profile.rules.iter().any(|rule| rule.names.iter().any(|name| name == call))
        };
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let missing: Vec<_> = bulkhead_seccomp::calls::all(arch)
                .into_iter()
                .map(|(name, _)| name)
                .filter(|name| !named(name) && !NEVER_MADE.contains(name))
                .collect();
            assert_eq!(missing, Vec::<&str>::new(), "{level} {arch}");
        }
    }
}

/// Numbers that the kernel keeps and has no call for.
const NEVER_MADE: [&str; 6] =
    ["getpmsg", "putpmsg", "afs_syscall", "tuxcall", "security", "vserver"];

#[test]
fn a_filter_leaves_room_in_what_the_kernel_takes() {
    for level in levels::LEVELS {
        for machine in [Arch::X86_64, Arch::Aarch64] {
            let length = simulation(level).compiled(machine).filter.len();
            assert!(length < 2048, "{level} on {machine}: {length} of 4096 instructions");
        }
    }
}
