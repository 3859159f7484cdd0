//! From what the configuration says to what it means.

mod exceptions;
mod levels;
mod response;
mod tenants;

use crate::{
    Policy,
    configuration::{Configuration, Fault, FieldPath, Problem},
};

use levels::Levels;

impl Policy {
    /// Gives the configuration its meaning.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn resolve(configuration: &Configuration) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        check_plain_values(configuration, &mut problems);
        let levels = Levels::resolve(&configuration.levels, &mut problems);
        let path = FieldPath::default().key("defaultLevel");
        let default = levels.find(&configuration.default_level, path, &mut problems).cloned();
        let tenants = tenants::resolve(&configuration.tenants, &levels, &mut problems);
        let never_freeze = response::resolve(&configuration.response, &mut problems);
        match default {
            Some(default) if problems.is_empty() => {
                Ok(Self::new(levels.into_vec(), default, tenants, never_freeze))
            }
            _ => Err(problems),
        }
    }
}

/// The values that stand for themselves.
fn check_plain_values(configuration: &Configuration, problems: &mut Vec<Problem>) {
    let top = FieldPath::default();
    let evidence = top.key("evidence");
    let (profiles, own) = (top.key("profiles"), &configuration.profiles);
    let directories = [
        (Some(&configuration.state_directory), top.key("stateDirectory")),
        (Some(&configuration.runtime_directory), top.key("runtimeDirectory")),
        (configuration.evidence.directory.as_ref(), evidence.key("directory")),
        (Some(&configuration.nri.socket), top.key("nri").key("socket")),
        (own.app_armor_directory.as_ref(), profiles.key("appArmorDirectory")),
        (own.app_armor_parser.as_ref(), profiles.key("appArmorParser")),
        (Some(&own.seccomp_directory), profiles.key("seccompDirectory")),
    ];
    for (directory, path) in directories {
        if let Some(relative) = directory.filter(|directory| !directory.is_absolute()) {
            let fault = Fault::RelativePath(relative.display().to_string());
            problems.push(Problem::new(path, fault));
        }
    }
    let minutes = configuration.canary.every_minutes;
    if minutes > MOST_MINUTES {
        let fault = Fault::OutOfRange { found: minutes, least: 0, most: MOST_MINUTES };
        problems.push(Problem::new(top.key("canary").key("everyMinutes"), fault));
    }
    for (found, most, key) in [
        (configuration.evidence.max_file_mib, 4096, "maxFileMiB"),
        (configuration.evidence.keep_files, 1000, "keepFiles"),
    ] {
        if !(1..=most).contains(&found) {
            let fault = Fault::OutOfRange { found, least: 1, most };
            problems.push(Problem::new(evidence.key(key), fault));
        }
    }
}

/// A week: rarer than that, nobody would know whether the canary still flies.
const MOST_MINUTES: u64 = 7 * 24 * 60;

/// Whether `name` can be a metric label and a part of a file name.
fn is_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// `problem` of a definition, as one of the file that holds the definition at `path`.
fn inside(path: &FieldPath, problem: Problem) -> Problem {
    let path = problem.path.steps().iter().fold(path.clone(), |path, step| path.and(step.clone()));
    Problem { path, ..problem }
}
