//! The exact counts.

use crate::verdict::byte_enum;

byte_enum! {
    /// What became of the record of an act. Every act has exactly one.
    Fate {
        /// The ring to the agent was full.
        NoRoom = 0 => "no_room",
        /// It is in the ring.
        Delivered = 1 => "delivered",
        /// The same act was told a moment ago: it is counted with that one ([`crate::Repeats`]).
        Repeated = 2 => "repeated",
        /// The tenant had sent as many as it may.
        OverBudget = 3 => "over_budget",
    }
}

impl Fate {
    /// Whether nobody will hear of the act but by its count.
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::NoRoom | Self::OverBudget)
    }
}

/// The key of the count map. The value is a `u64` that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct CountKey {
    /// [`crate::Identity::container`] of the actor, or its cgroup id where that is 0.
    pub container: u64,
    /// [`crate::Identity::tenant`] of the actor.
    pub tenant: u32,
    /// A [`crate::Rule`].
    pub rule: u16,
    /// A [`crate::Relation`].
    pub relation: u8,
    /// A [`crate::Verdict`].
    pub verdict: u8,
    /// A [`crate::Effect`].
    pub effect: u8,
    /// A [`Fate`].
    pub fate: u8,
    /// Zero.
    pub padding: [u8; 6],
}
