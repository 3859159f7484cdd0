//! What can be wrong with a configuration, and where.

use std::fmt;

use thiserror::Error;

/// One step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An element of a list, counted from 0.
    Index(usize),
}

/// The way from the top of the file to a value, as in `tenants[0].rules.BH-MNT-001`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<Step>);

impl FieldPath {
    /// The way to the value of `key` inside this one.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.and(Step::Key(key.into()))
    }

    /// The way to element `index` of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.and(Step::Index(index))
    }

    /// The steps, from the top.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub(crate) fn and(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the file");
        }
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => write!(f, "{}", key.escape_debug())?,
                Step::Key(key) => write!(f, ".{}", key.escape_debug())?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One thing wrong, and the value it is about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {fault}")]
pub struct Problem {
    /// Which value.
    pub path: FieldPath,
    /// What is wrong with it and what to write instead.
    pub fault: Fault,
}

impl Problem {
    /// `fault` at `path`.
    pub fn new(path: FieldPath, fault: Fault) -> Self {
        Self { path, fault }
    }
}

/// What is wrong. Each message ends with what to write instead, where that is known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The text is not YAML.
    #[error("not valid YAML: {0}")]
    Syntax(String),
    /// A key that nothing reads.
    #[error("unknown key {found:?}{}", advice(.instead, .known))]
    UnknownKey {
        /// The key.
        found: String,
        /// The nearest known one.
        instead: Option<String>,
        /// Those that are known here.
        known: Vec<String>,
    },
    /// The same key twice in one mapping.
    #[error("key given twice; keep one of the two")]
    DuplicateKey,
    /// A key that must be there.
    #[error("{0:?} is missing")]
    MissingKey(String),
    /// A value of another type than the key takes.
    #[error("{found} given; write {expected}")]
    WrongType {
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// A value of the right type that cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A word that is not one of a fixed set.
    #[error("{found:?} is not known here{}", advice(.instead, .known))]
    UnknownWord {
        /// The word.
        found: String,
        /// The nearest known one.
        instead: Option<String>,
        /// Those that are known here.
        known: Vec<String>,
    },
    /// A rule id that is not in the catalogue.
    #[error("unknown rule {found:?}{}", advice(.instead, &[]))]
    UnknownRule {
        /// The id.
        found: String,
        /// The nearest known one.
        instead: Option<String>,
    },
    /// A capability that the kernel does not have.
    #[error("unknown capability {found:?}{}", advice(.instead, &[]))]
    UnknownCapability {
        /// The name.
        found: String,
        /// The nearest known one.
        instead: Option<String>,
    },
    /// A level that is neither built in nor defined in the file.
    #[error("unknown level {found:?}{}", advice(.instead, .known))]
    UnknownLevel {
        /// The name.
        found: String,
        /// The nearest known one.
        instead: Option<String>,
        /// The levels there are.
        known: Vec<String>,
    },
    /// Levels that extend each other in a ring.
    #[error("level extends itself: {0}; break the ring")]
    LevelCycle(String),
    /// A definition of one of the three built-in levels.
    #[error("{0:?} is built in and cannot be redefined; choose another name and extend it")]
    BuiltInLevel(String),
    /// A name given to two levels, tenants or exceptions.
    #[error("{what} {name:?} is defined twice, first as {first}; rename one")]
    DuplicateName {
        /// `level`, `tenant` or `exception`.
        what: &'static str,
        /// The name.
        name: String,
        /// The definition that stands first.
        first: FieldPath,
    },
    /// A name that could not become a metric label or a file name.
    #[error(
        "{0:?} cannot be a name; write 1 to 63 lower-case letters, digits and `-`, beginning \
         and ending with a letter or digit"
    )]
    BadName(String),
    /// A name that Bulkhead itself uses.
    #[error("{0:?} is used by Bulkhead itself; choose another name")]
    ReservedName(String),
    /// Relations for a rule whose behaviour has no target.
    #[error("{0} has no target, so it takes one verdict; write `{0}: deny`")]
    NoRelations(&'static str),
    /// A verdict for what a container does to itself.
    #[error("a container may do to itself what it likes; remove `self`")]
    SelfRelation,
    /// A tenant that no container can belong to.
    #[error("tenant {0:?} names neither namespaces nor cgroups; add `namespaces` or `cgroups`")]
    EmptyTenant(String),
    /// A namespace or cgroup that two tenants claim.
    #[error("{what} {pattern:?} is claimed twice, first by {first}; leave it with one tenant")]
    ClaimedTwice {
        /// `namespace` or `cgroup`.
        what: &'static str,
        /// What is claimed.
        pattern: String,
        /// The claim that stands first.
        first: FieldPath,
    },
    /// A namespace that Kubernetes would not accept.
    #[error(
        "{0:?} is no namespace; write its name, or its beginning followed by `*` for all that \
         begin so"
    )]
    BadNamespace(String),
    /// A cgroup path that is not one.
    #[error("{path:?} is no cgroup path: {why}; write it from the cgroup v2 root, as in `/a/b`")]
    BadCgroup {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A directory that depends on where the agent was started.
    #[error("{0:?} is not absolute; begin it with `/`")]
    RelativePath(String),
    /// A number out of its range.
    #[error("{found} is out of range; write a number from {least} to {most}")]
    OutOfRange {
        /// The number.
        found: u64,
        /// The least that is taken.
        least: u64,
        /// The most that is taken.
        most: u64,
    },
    /// The reader gave up.
    #[error("more than {most} faults, the rest of which are not told; is this the right file?")]
    TooManyFaults {
        /// How many were told.
        most: usize,
    },
    /// An exception without a reason, or with one that fits on no line.
    #[error("an exception needs a reason; write one of 1 to {most} characters on one line")]
    BadReason {
        /// The most characters.
        most: usize,
    },
    /// An exception for every workload of a tenant.
    #[error("an exception is for one workload; add `pod`, `container` or `image`")]
    EmptyWorkload,
    /// An exception from nothing.
    #[error("an exception names the rules that it loosens; write `BH-...: all`")]
    EmptyException,
    /// A pod's name that Kubernetes would not accept.
    #[error(
        "{0:?} is no pod's name; write the name, or its beginning followed by `*` for all that \
         begin so"
    )]
    BadPod(String),
    /// An image that is not named by its content.
    #[error("{0:?} is no digest; write `sha256:` and 64 hexadecimal digits: a tag can be moved")]
    BadDigest(String),
    /// A day that is not in the calendar.
    #[error("{0:?} is no day; write it as in `2027-03-31`")]
    BadDate(String),
    /// Relations for a rule whose behaviour has no target.
    #[error("{0} has no target, so it takes no relations; write `{0}: all`")]
    NoRelationsToExcept(&'static str),
    /// More exceptions than the kernel side has tables for.
    #[error("{found} exceptions, but a node takes {most}; merge some")]
    TooManyExceptions {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// More tenants than the kernel side has tables for.
    #[error("{found} tenants, but a node can tell {most} apart; merge some")]
    TooManyTenants {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
}

/// The end of a message about an unknown word: the nearest one, else all of them.
fn advice(nearest: &Option<String>, known: &[String]) -> String {
    match nearest {
        Some(word) => format!("; did you mean {word:?}?"),
        None if known.is_empty() => String::new(),
        None => format!("; write one of {}", known.join(", ")),
    }
}
