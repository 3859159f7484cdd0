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

/// One set of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Which they are: the address.
    pub address: u64,
    /// Capabilities that may be used now.
    pub effective: u64,
    /// Capabilities that could ever be had.
    pub bounding: u64,
}

/// Whether it is the process that uses `cap`, rather than the kernel with borrowed credentials:
/// overlayfs looks into its layers with those of whoever mounted it, at every stat, and that is no
/// act of the process, whatever the process holds itself.
///
/// `own` are the process's real credentials, `asked` those that the kernel asks about. With
/// io_uring a process may itself have an operation done with credentials that it had before
/// (IORING_REGISTER_PERSONALITY); those have its own bounding set, which a mounter's have not, or
/// the container has them all and the strict reading is the right one.
#[inline(always)]
pub const fn is_own_use(
    own: Credentials,
    asked: Credentials,
    uses_io_uring: bool,
    cap: u32,
) -> bool {
    let borrowed = own.address != asked.address;
    holds(asked.effective, cap) && (!borrowed || (uses_io_uring && asked.bounding == own.bounding))
}

const fn holds(effective: u64, cap: u32) -> bool {
    cap < 64 && effective & (1 << (cap & 63)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP_SYS_ADMIN: u32 = 21;
    const ALL: u64 = u64::MAX >> 23;
    /// containerd's default set.
    const CONTAINER: Credentials =
        Credentials { address: 1, effective: 0xa804_25fb, bounding: 0xa804_25fb };
    const PRIVILEGED: Credentials = Credentials { address: 2, effective: ALL, bounding: ALL };
    const MOUNTER: Credentials = Credentials { address: 3, effective: ALL, bounding: ALL };

    #[test]
    fn borrowed_credentials_are_not_the_process_s() {
        assert!(!is_own_use(CONTAINER, MOUNTER, false, CAP_SYS_ADMIN));
        assert!(!is_own_use(CONTAINER, MOUNTER, true, CAP_SYS_ADMIN));
        assert!(!is_own_use(PRIVILEGED, MOUNTER, false, CAP_SYS_ADMIN));
    }

    #[test]
    fn a_process_s_own_capability_is_its_use() {
        assert!(is_own_use(PRIVILEGED, PRIVILEGED, false, CAP_SYS_ADMIN));
        assert!(!is_own_use(CONTAINER, CONTAINER, false, CAP_SYS_ADMIN), "it does not hold it");
    }

    #[test]
    fn credentials_that_io_uring_kept_are_the_process_s() {
        let dropped = Credentials { address: 4, effective: 0, bounding: ALL };
        assert!(is_own_use(dropped, PRIVILEGED, true, CAP_SYS_ADMIN));
        assert!(!is_own_use(dropped, PRIVILEGED, false, CAP_SYS_ADMIN));
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
