//! The built-in profiles, as they are installed.

use crate::{ParseError, Profile, parse};

/// The levels that have a profile, from the loosest to the strictest.
pub const LEVELS: [&str; 3] = ["trusted", "semi-trusted", "untrusted"];

/// The profile of a level, as text.
pub fn text(level: &str) -> Option<&'static str> {
    Some(match level {
        "trusted" => include_str!("../../profiles/seccomp/trusted.json"),
        "semi-trusted" => include_str!("../../profiles/seccomp/semi-trusted.json"),
        "untrusted" => include_str!("../../profiles/seccomp/untrusted.json"),
        _ => return None,
    })
}

/// The profile of a level; `None` for a level that has none.
pub fn profile(level: &str) -> Option<Result<Profile, ParseError>> {
    Some(parse(text(level)?.as_bytes()).map(|parsed| parsed.profile))
}
