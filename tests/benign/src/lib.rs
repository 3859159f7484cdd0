//! Ordinary programs that Bulkhead must not disturb: what each does, and what is seen of it at each
//! level.
//!
//! A program is a script below `programs/`, run in a container of the image
//! `localhost/bulkhead/programs:1`, and a row of [`PROGRAMS`]. `tests/e2e/tests/benign.rs` runs all
//! of them at all levels on the guest node; what it finds must be what the rows say, to the letter.
//! `docs/benign.md` is those rows for people.

#[cfg(test)]
mod page;
mod programs;

pub use programs::{PROGRAMS, UNDER_PROFILES};

/// What the scripts share, as a file beside them.
pub const LIBRARY: (&str, &str) = ("lib.sh", include_str!("../programs/lib.sh"));

/// The image that every program is in.
pub const IMAGE: &str = "localhost/bulkhead/programs:1";

/// One program, or a few that are used together.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The name of its script.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it does here.
    pub does: &'static str,
    /// The script.
    pub script: &'static str,
    /// What its container is like.
    pub container: Container,
    /// What is seen of it. Where nothing is, at no level, this is empty.
    pub seen: &'static [Seen],
    /// Why it cannot do its work at `untrusted`, if it cannot.
    pub not_at_untrusted: Option<&'static str>,
}

/// The container that a program is run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// The runtime's default capabilities, and neither a seccomp filter nor an AppArmor profile:
    /// nothing refuses an act before the guard sees it.
    Ordinary,
    /// As an ordinary one, in the node's PID namespace.
    HostPid,
}

/// What becomes of a program under the seccomp and AppArmor profiles of the strictest level.
#[derive(Clone, Copy, Debug)]
pub struct UnderProfiles {
    /// The name of its script.
    pub name: &'static str,
    /// Why it cannot do its work under the profiles of `untrusted`, if it cannot. Under those of
    /// `semi-trusted` each does.
    pub not_at_untrusted: Option<&'static str>,
}

/// What one rule says of a program.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The rule.
    pub rule: &'static str,
    /// Which of the program's acts it is.
    pub act: &'static str,
    /// At which levels it is seen, and whether it is refused there.
    pub at: &'static [(Level, Effect)],
}

/// A built-in level that the programs are run at. Not `trusted`: it refuses nothing, and sees nothing
/// that `semi-trusted` does not, to which a test of the levels holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Business units of one company.
    SemiTrusted,
    /// Unknown code.
    Untrusted,
}

impl Level {
    /// Both, the milder first.
    pub const ALL: [Self; 2] = [Self::SemiTrusted, Self::Untrusted];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SemiTrusted => "semi-trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was recorded and went on: an alert of severity `info`.
    Observed,
    /// It was refused: an alert of severity `warning` or more.
    Denied,
}

impl Effect {
    /// The word that events and metrics use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Denied => "denied",
        }
    }
}

impl Program {
    /// What is seen of it at a level: rule and effect.
    pub fn seen_at(&self, level: Level) -> impl Iterator<Item = (&'static str, Effect)> {
        self.seen.iter().flat_map(move |seen| {
            let there = seen.at.iter().filter(move |(at, _)| *at == level);
            there.map(|(_, effect)| (seen.rule, *effect))
        })
    }

    /// Whether its work is done at this level.
    #[must_use]
    pub fn works_at(&self, level: Level) -> bool {
        level != Level::Untrusted || self.not_at_untrusted.is_none()
    }
}
