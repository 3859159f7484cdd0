//! `/proc/PID/status`, as far as it tells how a process is confined.

use std::fmt;

use crate::capability::Capabilities;

/// A process's seccomp mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// None.
    Disabled,
    /// read, write, exit and sigreturn alone.
    Strict,
    /// So many filters; 0 where the kernel does not count them (before 5.9).
    Filter(u32),
}

impl Seccomp {
    /// How much it holds, for choosing the weakest: more filters are never weaker.
    fn strength(self) -> u64 {
        match self {
            Self::Disabled => 0,
            Self::Filter(count) => 1 + u64::from(count),
            Self::Strict => u64::MAX,
        }
    }
}

impl fmt::Display for Seccomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("none"),
            Self::Strict => f.write_str("strict"),
            Self::Filter(0) => f.write_str("filter"),
            Self::Filter(1) => f.write_str("1 filter"),
            Self::Filter(count) => write!(f, "{count} filters"),
        }
    }
}

/// The five capability sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapabilitySets {
    /// `CapInh`
    pub inheritable: Capabilities,
    /// `CapPrm`
    pub permitted: Capabilities,
    /// `CapEff`
    pub effective: Capabilities,
    /// `CapBnd`
    pub bounding: Capabilities,
    /// `CapAmb`
    pub ambient: Capabilities,
}

impl CapabilitySets {
    /// What the process has or can get by executing a program: the bounding set limits the latter,
    /// and what is permitted stays whatever the bounding set is.
    pub fn reachable(&self) -> Capabilities {
        self.permitted.union(self.bounding)
    }

    fn union(self, other: Self) -> Self {
        Self {
            inheritable: self.inheritable.union(other.inheritable),
            permitted: self.permitted.union(other.permitted),
            effective: self.effective.union(other.effective),
            bounding: self.bounding.union(other.bounding),
            ambient: self.ambient.union(other.ambient),
        }
    }
}

/// How a process is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its seccomp mode and filters.
    pub seccomp: Seccomp,
    /// `no_new_privs`.
    pub no_new_privileges: bool,
    /// Its capabilities.
    pub capabilities: CapabilitySets,
}

/// Why a status could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// A line is not there.
    #[error("no line {0}")]
    Missing(&'static str),
    /// A value is none.
    #[error("{field} is {value:?}")]
    Value {
        /// Which.
        field: &'static str,
        /// What it is.
        value: String,
    },
}

impl Status {
    /// Reads the text of `/proc/PID/status`.
    ///
    /// The name in its first line is the tenant's own choice; the kernel escapes line ends in it,
    /// and a field counts only at the beginning of a line.
    ///
    /// # Errors
    /// When a line that every supported kernel has is missing or malformed: nothing is guessed.
    pub fn parse(text: &str) -> Result<Self, StatusError> {
        let fields = Fields::of(text);
        let set = |name| fields.number(name, 16).map(Capabilities::from_bits);
        let seccomp = match fields.number("Seccomp", 10)? {
            0 => Seccomp::Disabled,
            1 => Seccomp::Strict,
            2 => {
                let filters = fields.number("Seccomp_filters", 10).unwrap_or(0);
                Seccomp::Filter(u32::try_from(filters).unwrap_or(u32::MAX))
            }
            other => {
                return Err(StatusError::Value { field: "Seccomp", value: other.to_string() });
            }
        };
        Ok(Self {
            seccomp,
            no_new_privileges: fields.number("NoNewPrivs", 10)? != 0,
            capabilities: CapabilitySets {
                inheritable: set("CapInh")?,
                permitted: set("CapPrm")?,
                effective: set("CapEff")?,
                bounding: set("CapBnd")?,
                ambient: set("CapAmb")?,
            },
        })
    }

    /// The weaker of two, point by point.
    #[must_use]
    pub fn weakest(self, other: Self) -> Self {
        let weaker = other.seccomp.strength() < self.seccomp.strength();
        Self {
            seccomp: if weaker { other.seccomp } else { self.seccomp },
            no_new_privileges: self.no_new_privileges && other.no_new_privileges,
            capabilities: self.capabilities.union(other.capabilities),
        }
    }
}

/// The fields that are asked for. The text has some sixty, and there are many processes: it is gone through once.
struct Fields<'a>([Option<&'a str>; NAMES.len()]);

const NAMES: [&str; 8] =
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"];

impl<'a> Fields<'a> {
    /// Where a field is there twice, the first counts.
    fn of(text: &'a str) -> Self {
        let mut fields = [None; NAMES.len()];
        for line in text.lines().filter(|line| line.starts_with(['C', 'N', 'S'])) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let at = NAMES.iter().position(|known| *known == name);
            if let Some(field) = at.and_then(|at| fields.get_mut(at)) {
                field.get_or_insert(value.trim());
            }
        }
        Self(fields)
    }

    fn number(&self, name: &'static str, radix: u32) -> Result<u64, StatusError> {
        let found = NAMES.iter().zip(self.0).find(|(known, _)| **known == name);
        let value = found.and_then(|(_, value)| value).ok_or(StatusError::Missing(name))?;
        u64::from_str_radix(value, radix)
            .map_err(|_| StatusError::Value { field: name, value: value.to_owned() })
    }
}
