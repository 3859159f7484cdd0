//! The profiles of the levels, as text.

use bulkhead_seccomp::levels::LEVELS;

/// Of the kernel's mediation, what the texts speak of. The parser takes it instead of an `abi` line,
/// whose files a node need not have: a newer kernel that mediates more does not refuse what the
/// texts never mention.
pub(crate) const FEATURES: &str = include_str!("../../../profiles/apparmor/features");

/// The name that a container is given.
pub(crate) fn name(level: &str) -> String {
    format!("bulkhead-{level}")
}

/// A level's profile.
pub(crate) fn text(level: &str) -> Option<&'static str> {
    match level {
        "trusted" => Some(include_str!("../../../profiles/apparmor/bulkhead-trusted")),
        "semi-trusted" => Some(include_str!("../../../profiles/apparmor/bulkhead-semi-trusted")),
        "untrusted" => Some(include_str!("../../../profiles/apparmor/bulkhead-untrusted")),
        _ => None,
    }
}

/// The levels that have one, the loosest first.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    LEVELS.into_iter().filter_map(|level| Some((level, text(level)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_a_profile_under_its_name() {
        assert_eq!(all().count(), LEVELS.len());
        for (level, text) in all() {
            let name = name(level);
            let begins = format!("profile {name} flags=(attach_disconnected, mediate_deleted) {{");
            assert!(text.lines().any(|line| line == begins), "{name}");
            // What it says of its own processes must be said of its own name.
            for line in text.lines().filter(|line| line.contains("peer=bulkhead")) {
                assert!(line.contains(&format!("peer={name},")), "{name}: {line}");
            }
        }
    }

    #[test]
    fn a_profile_needs_no_other_file() {
        for (level, text) in all() {
            let rules = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
            for line in rules {
                let foreign = ["abi ", "include", "@{"].iter().any(|word| line.starts_with(word));
                assert!(!foreign, "{level}: {line}");
            }
            assert!(!text.contains("#include"), "{level}");
        }
    }

    #[test]
    fn a_stricter_level_keeps_what_the_host_s_secrets_need() {
        let denied = |level| {
            let lines = text(level).unwrap().lines().map(str::trim);
            lines.filter(|line| line.starts_with("audit deny /")).collect::<Vec<_>>()
        };
        let untrusted = denied("untrusted");
        for line in denied("semi-trusted") {
            assert!(untrusted.contains(&line), "{line}");
        }
    }
}
