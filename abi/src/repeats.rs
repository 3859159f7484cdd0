//! Acts that are the same again: the first is told, the others are counted with it.

use crate::{Effect, Phase};

/// For so long after an act was told are its repeats counted instead of told, in nanoseconds. After
/// it the next one is told again.
pub const WINDOW: u64 = 10_000_000_000;

/// After so long the entry is the agent's to remove, and the kernel side adds to it no more.
pub const WINDOW_OVER: u64 = 2 * WINDOW;

/// What makes two acts the same: the key of the repeats map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct ActKey {
    /// On what; see the functions below.
    pub target: [u64; 3],
    /// [`crate::Identity::container`] of the actor, or its cgroup id where that is 0.
    pub container: u64,
    /// [`crate::Identity::tenant`] of the actor.
    pub tenant: u32,
    /// The actor's process id; 0 for the same act of any process of the container.
    pub process: u32,
    /// The system call, -1 outside of one: what the same rule answers may be different acts.
    pub syscall: i32,
    /// A [`crate::Rule`]: there are fewer than 256.
    pub rule: u8,
    /// A [`crate::Relation`].
    pub relation: u8,
    /// A [`crate::Verdict`].
    pub verdict: u8,
    /// What became of it; see [`ActKey::outcome`]. The key is as small as it can be: it lies on the
    /// stack of every hook.
    pub outcome: u8,
}

const _: () = assert!(crate::MAX_RULES <= 256);

impl ActKey {
    /// The effect, the phase, and whether the call came through a 32-bit entry.
    #[inline(always)]
    pub const fn outcome(effect: Effect, phase: Phase, compat: bool) -> u8 {
        effect as u8 & 0x3f | (phase as u8 & 1) << 6 | (compat as u8) << 7
    }

    /// The number of the [`Effect`].
    pub const fn effect(&self) -> u8 {
        self.outcome & 0x3f
    }

    /// The same act, whichever process of the container does it.
    pub const fn of_any_process(self) -> Self {
        Self { process: 0, ..self }
    }
}

/// The value of the repeats map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct Repeats {
    /// When the act was last told, in nanoseconds since boot.
    pub told: u64,
    /// When it was last repeated.
    pub last: u64,
    /// How often it was repeated since the entry was made. It only grows.
    pub count: u64,
}

/// The target of an act on a process: its container (or its cgroup, where it is in none), the act's
/// first argument (which signal, which mode), and its process id, 0 where there is no process.
#[inline(always)]
pub const fn process_target(
    container: u64,
    cgroup: u64,
    pid: u32,
    arguments: &[u64; 3],
) -> [u64; 3] {
    [if container == 0 { cgroup } else { container }, arguments[0], pid as u64]
}

/// The target of an act on a file, mount or superblock.
#[inline(always)]
pub const fn file_target(inode: u64, device: u32, special_device: u32, magic: u64) -> [u64; 3] {
    [inode, (device as u64) << 32 | special_device as u64, magic]
}

/// The target of an act on a file of which only the file system and the name are known.
#[inline(always)]
pub fn name_target(magic: u64, name: &[u8; crate::SENSITIVE_NAME_LEN]) -> [u64; 3] {
    // FNV-1a: the kernel gives these names, so that nobody can look for two with one sum.
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name {
        sum = (sum ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
    }
    [sum, 0, magic]
}
