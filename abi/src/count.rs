//! The exact counts.

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
    /// 1 when the record found room in the ring, 0 when it was lost.
    pub delivered: u8,
    /// Zero.
    pub padding: [u8; 6],
}
