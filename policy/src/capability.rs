//! The names and numbers of Linux capabilities, and sets of them.

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer};

/// Declares the names in the order of their numbers (linux/capability.h).
macro_rules! names {
    ($($name:literal)+) => {
        /// Names in the order of their numbers (linux/capability.h), without `CAP_`.
        pub const NAMES: [&str; 41] = [$($name),+];
        /// The same with `CAP_`.
        const FULL_NAMES: [&str; NAMES.len()] = [$(concat!("CAP_", $name)),+];
    };
}

names! {
    "CHOWN"
    "DAC_OVERRIDE"
    "DAC_READ_SEARCH"
    "FOWNER"
    "FSETID"
    "KILL"
    "SETGID"
    "SETUID"
    "SETPCAP"
    "LINUX_IMMUTABLE"
    "NET_BIND_SERVICE"
    "NET_BROADCAST"
    "NET_ADMIN"
    "NET_RAW"
    "IPC_LOCK"
    "IPC_OWNER"
    "SYS_MODULE"
    "SYS_RAWIO"
    "SYS_CHROOT"
    "SYS_PTRACE"
    "SYS_PACCT"
    "SYS_ADMIN"
    "SYS_BOOT"
    "SYS_NICE"
    "SYS_RESOURCE"
    "SYS_TIME"
    "SYS_TTY_CONFIG"
    "MKNOD"
    "LEASE"
    "AUDIT_WRITE"
    "AUDIT_CONTROL"
    "SETFCAP"
    "MAC_OVERRIDE"
    "MAC_ADMIN"
    "SYSLOG"
    "WAKE_ALARM"
    "BLOCK_SUSPEND"
    "AUDIT_READ"
    "PERFMON"
    "BPF"
    "CHECKPOINT_RESTORE"
}

/// The number of the capability called `name`, with or without `CAP_`; capitals only.
pub fn number(name: &str) -> Option<u32> {
    let bare = name.strip_prefix("CAP_").unwrap_or(name);
    NAMES.iter().position(|known| *known == bare).and_then(|at| u32::try_from(at).ok())
}

/// The name of capability `number`, without `CAP_`; `None` for one newer than this list.
pub fn name(number: u32) -> Option<&'static str> {
    NAMES.get(usize::try_from(number).ok()?).copied()
}

/// A set of capabilities, a bit each as in capability(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Every capability, those that this list does not know yet included.
    pub const ALL: Self = Self(u64::MAX);
    /// None.
    pub const NONE: Self = Self(0);

    /// The set of a bit mask.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bit mask.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// This set and capability `number`. A number that no mask can hold changes nothing.
    #[must_use]
    pub fn with(self, number: u32) -> Self {
        Self(self.0 | 1u64.checked_shl(number).unwrap_or(0))
    }

    /// What both sets hold.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What either set holds.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What this set holds and `other` does not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `number` is in the set.
    pub fn contains(self, number: u32) -> bool {
        self.0 & 1u64.checked_shl(number).unwrap_or(0) != 0
    }

    /// The names of the members in numerical order; a bit without a name is `CAP_` and its number.
    pub fn names(self) -> impl Iterator<Item = String> {
        self.words().map(Cow::into_owned)
    }

    /// The same. They are in every event, once or twice: those that have names are not made anew.
    fn words(self) -> impl Iterator<Item = Cow<'static, str>> {
        (0..u64::BITS).filter(move |&number| self.contains(number)).map(|number| {
            let full = usize::try_from(number)
                .ok()
                .and_then(|at| FULL_NAMES.get(at))
                .copied()
                .map(Cow::Borrowed);
            full.unwrap_or_else(|| Cow::Owned(format!("CAP_{number}")))
        })
    }
}

/// The list of the members' names.
impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => f.write_str("all"),
            Self::NONE => f.write_str("none"),
            set => f.write_str(&set.names().collect::<Vec<_>>().join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_are_those_of_the_kernel_header() {
        for (name, expected) in
            [("CHOWN", 0), ("NET_RAW", 13), ("SYS_ADMIN", 21), ("MKNOD", 27), ("BPF", 39)]
        {
            assert_eq!(number(name), Some(expected));
            assert_eq!(number(&format!("CAP_{name}")), Some(expected));
        }
        assert_eq!(number("sys_admin"), None);
        assert_eq!(number("CAP_CAP_CHOWN"), None);
    }

    #[test]
    fn names_and_numbers_agree() {
        for at in 0..41 {
            assert_eq!(number(name(at).unwrap()), Some(at));
        }
        assert_eq!(name(41), None);
        assert_eq!(name(u32::MAX), None);
    }

    #[test]
    fn out_of_range_numbers_are_in_no_set() {
        assert!(!Capabilities::ALL.contains(64));
        assert_eq!(Capabilities::NONE.with(64), Capabilities::NONE);
        assert_eq!(Capabilities::NONE.with(21).to_string(), "CAP_SYS_ADMIN");
    }
}
