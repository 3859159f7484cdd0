//! System calls by number.

use serde::Serialize;

/// The processor family a record comes from; the numbers of the system calls depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64, with i386 as its 32-bit entry.
    X86_64,
    /// Arm64, with Arm as its 32-bit entry.
    Aarch64,
}

impl Architecture {
    /// The one this build runs on; `None` where the names are not known here.
    pub const fn of_this_build() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }
}

/// The system call an act was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Syscall {
    /// Its number.
    pub number: u32,
    /// Its name, where this build knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// Whether it came through a 32-bit entry, whose numbers are others.
    pub compat: bool,
}

impl Syscall {
    /// Names `number`.
    pub fn new(number: u32, compat: bool, architecture: Option<Architecture>) -> Self {
        let name = usize::try_from(number).ok().and_then(|id| match (architecture?, compat) {
            (Architecture::X86_64, false) => Some(syscalls::x86_64::Sysno::new(id)?.name()),
            (Architecture::X86_64, true) => Some(syscalls::x86::Sysno::new(id)?.name()),
            (Architecture::Aarch64, false) => Some(syscalls::aarch64::Sysno::new(id)?.name()),
            (Architecture::Aarch64, true) => Some(syscalls::arm::Sysno::new(id)?.name()),
        });
        Self { number, name, compat }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_named_by_the_table_of_its_entry() {
        let name = |number, compat, architecture| Syscall::new(number, compat, architecture).name;
        assert_eq!(name(101, false, Some(Architecture::X86_64)), Some("ptrace"));
        assert_eq!(name(26, true, Some(Architecture::X86_64)), Some("ptrace"));
        assert_eq!(name(117, false, Some(Architecture::Aarch64)), Some("ptrace"));
        assert_eq!(name(26, true, Some(Architecture::Aarch64)), Some("ptrace"));
        assert_eq!(name(442, false, Some(Architecture::X86_64)), Some("mount_setattr"));
    }

    #[test]
    fn a_number_that_no_table_has_keeps_its_number() {
        let call = Syscall::new(100_000, false, Some(Architecture::X86_64));
        assert_eq!((call.number, call.name), (100_000, None));
        assert_eq!(Syscall::new(u32::MAX, true, Some(Architecture::X86_64)).name, None);
        assert_eq!(Syscall::new(101, false, None).name, None);
    }
}
