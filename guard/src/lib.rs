//! What the kernel side decides, as plain functions of values.
//!
//! No pointers, no maps, no helpers: the kernel side reads kernel objects into these functions'
//! arguments, and the same functions run under `cargo test`. One file per hook family, as in
//! `ebpf/src/hooks`.
#![no_std]
#![forbid(unsafe_code)]

pub mod budget;
pub mod capabilities;
pub mod cgroups;
pub mod descriptors;
pub mod devices;
pub mod exec;
pub mod files;
pub mod mounts;
pub mod names;
pub mod namespaces;
pub mod network;
pub mod objects;
pub mod processes;
pub mod relation;
pub mod setup;
pub mod sockets;
pub mod system;

use bulkhead_abi::{Effect, Rung, Verdict};

/// What becomes of an act with this verdict at a hook of this rung.
#[inline(always)]
pub const fn effect(verdict: Verdict, rung: Rung) -> Effect {
    match (verdict.refuses(), rung) {
        (false, _) => Effect::Observed,
        (true, Rung::Lsm | Rung::Cgroup) => Effect::Denied,
        (true, _) => Effect::NotDenied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rung_that_can_refuse_says_denied() {
        for rung in Rung::ALL {
            let can = matches!(rung, Rung::Lsm | Rung::Cgroup);
            let expected = if can { Effect::Denied } else { Effect::NotDenied };
            assert_eq!(effect(Verdict::Deny, *rung), expected);
            assert_eq!(effect(Verdict::Kill, *rung), expected);
            assert_eq!(effect(Verdict::Freeze, *rung), expected);
            assert_eq!(effect(Verdict::Audit, *rung), Effect::Observed);
        }
    }
}
