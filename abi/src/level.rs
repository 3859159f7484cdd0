//! A level as the kernel side reads it.

use core::hint::black_box;

use crate::{MAX_RULES, Relation, Rule, Verdict};

/// Level tables on one node: one for each tenant and each declared exception.
pub const MAX_LEVELS: u32 = 512;
/// The table for workloads that no policy names: watched, never blocked.
pub const WATCH_SLOT: u16 = 0;
/// The table for workloads that are not named yet.
pub const PENDING_SLOT: u16 = 1;
/// The table of `bulkhead prove` and of the canary; no tenant has it.
pub const CANARY_SLOT: u16 = (MAX_LEVELS - 1) as u16;
/// No table: the node itself; in a scope template, a name that the runtime gives to its own helpers.
pub const NOT_A_WORKLOAD_SLOT: u16 = u16::MAX;

/// Verdicts by rule and relation, and the capability ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct LevelTable {
    /// One [`Verdict`] for each rule number and [`Relation`]; rows are eight wide for masking.
    pub verdicts: [[u8; 8]; MAX_RULES],
    /// The capabilities that may be used, a bit each as in capability(7).
    pub ceiling: u64,
    /// The rules whose refusals are critical, a bit each.
    pub critical: [u64; MAX_RULES / 64],
}

impl LevelTable {
    /// Every rule off, every capability allowed.
    pub const OFF: Self =
        Self { verdicts: [[0; 8]; MAX_RULES], ceiling: u64::MAX, critical: [0; MAX_RULES / 64] };

    /// The verdict of `rule` towards a target in `relation`.
    ///
    /// A byte that is no verdict reads as deny: it can only come from a broken writer, and the
    /// safe reading of a broken table is the strict one.
    #[inline(always)]
    pub fn verdict(&self, rule: Rule, relation: Relation) -> Verdict {
        // The compiler knows the ranges of both enums and would drop the masks; the verifier does
        // not know them and wants to see the masks.
        let (row, column) = (black_box(rule as usize), black_box(relation as usize));
        #[allow(clippy::indexing_slicing)]
        let byte = self.verdicts[row & (MAX_RULES - 1)][column & 7];
        match Verdict::from_u8(byte) {
            Some(verdict) => verdict,
            None => Verdict::Deny,
        }
    }

    /// Sets the verdict of `rule` towards targets in `relation`.
    pub fn set(&mut self, rule: Rule, relation: Relation, verdict: Verdict) {
        #[allow(clippy::indexing_slicing)]
        {
            self.verdicts[rule as usize & (MAX_RULES - 1)][relation as usize & 7] = verdict as u8;
        }
    }

    /// Whether an act that met `rule` with this verdict is critical: it goes to the agent by a ring
    /// of its own, at once. A refusal of a rule that the table calls critical is, whether or not
    /// this node can carry it out, and so is what the agent must answer.
    #[inline(always)]
    pub fn is_critical(&self, rule: Rule, verdict: Verdict) -> bool {
        let number = black_box(rule as usize);
        #[allow(clippy::indexing_slicing)]
        let word = self.critical[(number >> 6) & (MAX_RULES / 64 - 1)];
        matches!(verdict, Verdict::Freeze) || verdict.refuses() && word >> (number & 63) & 1 == 1
    }

    /// Calls the refusals of `rule` critical.
    pub fn set_critical(&mut self, rule: Rule) {
        let number = rule as usize;
        #[allow(clippy::indexing_slicing)]
        {
            self.critical[(number >> 6) & (MAX_RULES / 64 - 1)] |= 1 << (number & 63);
        }
    }

    /// Whether the ceiling allows capability number `cap`.
    #[inline(always)]
    pub fn allows_capability(&self, cap: u32) -> bool {
        cap < 64 && self.ceiling & (1 << (cap & 63)) != 0
    }
}
