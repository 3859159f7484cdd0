//! A seccomp profile: parsed, written, compiled by libseccomp, asked.

use bulkhead_seccomp::{
    Arch, Profile, Simulation,
    calls::{self, Known},
    check, diff, parse, probe, write,
};

/// Compiling and asking take so many times as long; what comes of more is the same.
const MOST_NAMES: usize = 40;
const MOST_QUESTIONS: usize = 256;

/// Asked of each profile, beside what its rules name.
const USUAL: [&str; 3] = ["read", "mount", "mseal"];

/// A profile that parses is written as it was read; one that compiles can be checked, allows nothing beyond
/// itself, and answers each call as its rules say.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(parsed) = parse(bytes) else { return false };
    let profile = &parsed.profile;
    let text = write::to_text(profile);
    let again = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    assert_eq!(again.unknown_fields, Vec::<String>::new(), "{text}");
    assert_eq!(as_written(profile), as_written(&again.profile), "{text}");
    if profile.rules.iter().map(|rule| rule.names.len() * (1 + rule.args.len())).sum::<usize>()
        > MOST_NAMES
    {
        return true;
    }
    // libseccomp may refuse a combination of rules; then it is an error, not a crash.
    let Ok(simulation) = Simulation::of(profile) else { return true };
    assert!(check::check(&parsed, Some(("itself", &simulation))).is_ok());
    assert!(diff::tightens(&simulation, &simulation).unwrap());
    let named = profile.rules.iter().flat_map(|rule| &rule.names).map(String::as_str);
    for name in named.chain(USUAL) {
        answers_as_declared(&simulation, name);
    }
    true
}

/// What a file can say of a profile: which errors were given is not kept where they are the usual ones.
fn as_written(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    profile.arch_map.clear();
    profile.default_errno_given = false;
    profile.rules.iter_mut().for_each(|rule| rule.errno_given &= rule.action.errno().is_some());
    profile
}

/// Asks by number, and reads the rules one by one. Where several rules name a call, libseccomp has an
/// order of its own; where one names a call that a covered architecture lacks, its filter may be wrong
/// (2.5.4 on Arm64 forgets to load the number).
fn answers_as_declared(simulation: &Simulation, name: &str) {
    let profile = simulation.profile();
    let rules: Vec<_> =
        profile.rules.iter().filter(|rule| rule.names.iter().any(|it| it == name)).collect();
    if rules.len() > 1 || calls::known(name) != Known::Compiled {
        return;
    }
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let has_all = |arch: Arch| {
            let mut all = profile.rules.iter().flat_map(|rule| &rule.names);
            all.all(|name| calls::number(arch, name).is_some())
        };
        if !profile.covered(arch).into_iter().all(has_all) {
            continue;
        }
        let Some(number) = calls::number(arch, name) else { continue };
        for arguments in probe::questions(&[profile], name).arguments.iter().take(MOST_QUESTIONS) {
            let fits = rules.iter().find(|rule| {
                let alternatives = rule.alternatives();
                alternatives.iter().any(|all| all.iter().all(|one| one.holds(arguments)))
            });
            let declared = fits.map_or(profile.default_action, |rule| rule.action);
            let answer = simulation.ask_number(arch, number, *arguments).unwrap();
            assert_eq!(answer, declared, "{name} {arguments:x?}");
        }
    }
}
