//! The capability ceiling.

use bulkhead_abi::LevelTable;

/// linux/security.h: CAP_OPT_NOAUDIT: the kernel only asks whether the capability is there.
pub const OPT_NOAUDIT: u32 = 2;

/// Whether the ceiling is exceeded by a use of `cap` in a user namespace of this depth.
///
/// Only the initial user namespace counts: a capability over a namespace of the workload's own
/// reaches no further than that namespace, and making one is a rule by itself.
#[inline(always)]
pub fn exceeds(table: &LevelTable, cap: u32, namespace_level: u32) -> bool {
    namespace_level == 0 && !table.allows_capability(cap)
}

/// Whether a process with these effective capabilities holds `cap` itself. The kernel also asks
/// about credentials that it has borrowed for its own ends: overlayfs looks into its layers with
/// those of whoever mounted it, at every stat. That is no act of the process.
#[inline(always)]
pub const fn holds(effective: u64, cap: u32) -> bool {
    cap < 64 && effective & (1 << (cap & 63)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrowed_credentials_are_not_the_process_s() {
        const CAP_SYS_ADMIN: u32 = 21;
        assert!(!holds(0xa804_25fb, CAP_SYS_ADMIN), "the default set of containerd");
        assert!(holds(u64::MAX >> 23, CAP_SYS_ADMIN));
        assert!(!holds(u64::MAX, 64));
    }

    #[test]
    fn only_the_initial_user_namespace_counts() {
        let mut table = LevelTable::OFF;
        table.ceiling = 1 << 10;
        assert!(exceeds(&table, 21, 0));
        assert!(!exceeds(&table, 10, 0));
        assert!(!exceeds(&table, 21, 1));
        assert!(exceeds(&table, 64, 0), "a capability this code does not know is above");
    }
}
