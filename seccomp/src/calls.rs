//! Names and numbers of system calls, by architecture.

use std::fmt;

use libseccomp::{ScmpArch, ScmpSyscall};
use serde::Serialize;

/// An architecture whose calls can be asked for. Profiles may name others; see
/// [`crate::profile::ArchName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// x86-64.
    X86_64,
    /// The 32-bit entry of x86-64.
    X86,
    /// 32-bit pointers on x86-64.
    X32,
    /// Arm64.
    Aarch64,
    /// The 32-bit entry of Arm64.
    Arm,
}

/// The bit that marks the calls of x32 (arch/x86/include/uapi/asm/unistd.h).
const X32_BIT: u32 = 0x4000_0000;

impl Arch {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::X86_64, Self::X86, Self::X32, Self::Aarch64, Self::Arm];

    /// The node's architecture that this one's programs run on.
    pub fn machine(self) -> Self {
        match self {
            Self::X86_64 | Self::X86 | Self::X32 => Self::X86_64,
            Self::Aarch64 | Self::Arm => Self::Aarch64,
        }
    }

    /// The machine that this program was built for.
    pub fn native() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }

    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
        }
    }

    /// From the command line.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.as_str() == name)
    }

    /// As in a profile.
    pub fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// The AUDIT_ARCH value that a filter sees (linux/audit.h).
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    pub(crate) fn scmp(self) -> ScmpArch {
        match self {
            Self::X86_64 => ScmpArch::X8664,
            Self::X86 => ScmpArch::X86,
            Self::X32 => ScmpArch::X32,
            Self::Aarch64 => ScmpArch::Aarch64,
            Self::Arm => ScmpArch::Arm,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of a call, where the architecture has it: of the kernel's tables first, then of
/// libseccomp's, which knows a few old ones more.
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    let known = match arch {
        Arch::X86_64 => name.parse::<syscalls::x86_64::Sysno>().ok().map(|call| call as u32),
        Arch::X86 => name.parse::<syscalls::x86::Sysno>().ok().map(|call| call as u32),
        Arch::Aarch64 => name.parse::<syscalls::aarch64::Sysno>().ok().map(|call| call as u32),
        Arch::Arm => name.parse::<syscalls::arm::Sysno>().ok().map(|call| call as u32),
        // x32 has the numbers of x86-64, but for some of its own, which libseccomp knows.
        Arch::X32 => None,
    };
    known.or_else(|| {
        let call = ScmpSyscall::from_name_by_arch(name, arch.scmp()).ok()?;
        u32::try_from(call.as_raw_syscall()).ok()
    })
}

/// The name of a call.
pub fn name(arch: Arch, number: u32) -> Option<&'static str> {
    let id = usize::try_from(number).ok()?;
    match arch {
        Arch::X86_64 => Some(syscalls::x86_64::Sysno::new(id)?.name()),
        Arch::X32 if number & X32_BIT == 0 => None,
        Arch::X32 => {
            Some(syscalls::x86_64::Sysno::new(usize::try_from(number & !X32_BIT).ok()?)?.name())
        }
        Arch::X86 => Some(syscalls::x86::Sysno::new(id)?.name()),
        Arch::Aarch64 => match syscalls::aarch64::Sysno::new(id)?.name() {
            // The table has the name of the kernel's function; profiles have that of x86-64.
            "fstatat" => Some("newfstatat"),
            name => Some(name),
        },
        Arch::Arm => Some(syscalls::arm::Sysno::new(id)?.name()),
    }
}

/// Every call of an architecture: name and number.
pub fn all(arch: Arch) -> Vec<(&'static str, u32)> {
    // The tables end below 512; Arm has some private calls at 0x0f0000.
    let ordinary = 0..512;
    let private = 0x0f_0000..0x0f_0010;
    match arch {
        Arch::X32 => {
            ordinary.filter_map(|id| Some((name(arch, id | X32_BIT)?, id | X32_BIT))).collect()
        }
        _ => ordinary.chain(private).filter_map(|id| Some((name(arch, id)?, id))).collect(),
    }
}

/// How well a name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// To libseccomp here, so that it can be compiled.
    Compiled,
    /// To the kernel's tables, not to libseccomp here.
    NewerThanLibseccomp,
    /// To nobody: misspelt, or of a future kernel.
    Unknown,
}

/// How well a name is known.
pub fn known(name: &str) -> Known {
    if ScmpSyscall::from_name(name).is_ok() {
        Known::Compiled
    } else if Arch::ALL.into_iter().any(|arch| number(arch, name).is_some()) {
        Known::NewerThanLibseccomp
    } else {
        Known::Unknown
    }
}

/// The version of libseccomp that compiles here.
pub fn libseccomp_version() -> String {
    libseccomp::ScmpVersion::current()
        .map_or_else(|error| format!("unknown ({error})"), |version| version.to_string())
}

/// The name that was probably meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let distance = |candidate: &str| edits(name, candidate);
    let (best, edits) = all(Arch::X86_64)
        .into_iter()
        .map(|(candidate, _)| (candidate, distance(candidate)))
        .min_by_key(|(_, edits)| *edits)?;
    (edits <= 2 && edits < name.chars().count()).then_some(best)
}

/// Levenshtein distance; names longer than any call's are far from all.
fn edits(left: &str, right: &str) -> usize {
    if left.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, one) in left.bytes().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(right.bytes()) {
            let best = (diagonal + usize::from(one != other)).min(before + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            before = best;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_number_of_its_architecture() {
        let numbers = Arch::ALL.map(|arch| number(arch, "ptrace"));
        assert_eq!(numbers, [Some(101), Some(26), Some(0x4000_0209), Some(117), Some(26)]);
        assert_eq!(number(Arch::Aarch64, "open"), None);
        assert_eq!(number(Arch::X86_64, "mseal"), Some(462));
    }

    #[test]
    fn a_misspelt_name_is_unknown_and_its_neighbour_is_named() {
        assert_eq!(known("openat"), Known::Compiled);
        assert_eq!(known("opennat"), Known::Unknown);
        assert_eq!(nearest("opennat"), Some("openat"));
        assert_eq!(nearest("no such call at all"), None);
        assert_eq!(nearest(&"x".repeat(5000)), None);
        assert_ne!(known("mseal"), Known::Unknown);
    }

    #[test]
    fn all_calls_have_the_name_of_their_number() {
        for arch in [Arch::X86_64, Arch::X86, Arch::Aarch64, Arch::Arm] {
            let calls = all(arch);
            assert!(calls.len() > 300, "{arch}: {}", calls.len());
            for (name, id) in calls {
                assert_eq!(number(arch, name), Some(id), "{arch} {name}");
            }
        }
    }
}
