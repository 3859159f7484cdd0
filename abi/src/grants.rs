//! Which devices a container's runtime has granted to it.

/// Bits of [`Grant::access`]: uapi/linux/bpf.h, BPF_DEVCG_ACC_*.
pub mod access {
    /// A node of it may be made.
    pub const MAKE: u8 = 1;
    /// It may be opened for reading.
    pub const READ: u8 = 2;
    /// It may be opened for writing.
    pub const WRITE: u8 = 4;
}

/// Entries of one container. A GPU has some ten, a container some thirty at most.
pub const MAX_GRANTS: usize = 64;

/// Every number, in [`Grant::major`] and [`Grant::minor`].
pub const ANY: u32 = u32::MAX;

/// A device, or all of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct Grant {
    /// Its driver, or [`ANY`].
    pub major: u32,
    /// Its number, or [`ANY`].
    pub minor: u32,
    /// 1 for block devices, 0 for character devices.
    pub block: u8,
    /// [`access`] bits.
    pub access: u8,
    /// Zero.
    pub padding: [u8; 2],
}

/// The value of the map of grants, whose key is the container's cgroup id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct Grants {
    /// 1 where everything is granted but the entries; 0 where nothing is but them.
    pub all_but: u32,
    /// Entries in use.
    pub count: u32,
    /// The entries.
    pub entries: [Grant; MAX_GRANTS],
}

impl Grants {
    /// No device.
    pub const NONE: Self = Self {
        all_but: 0,
        count: 0,
        entries: [Grant { major: 0, minor: 0, block: 0, access: 0, padding: [0; 2] }; MAX_GRANTS],
    };

    /// The entries; `None` where they are more than fit.
    pub fn of(all_but: bool, entries: &[Grant]) -> Option<Self> {
        let mut grants =
            Self { all_but: all_but as u32, count: entries.len() as u32, ..Self::NONE };
        grants.entries.get_mut(..entries.len())?.copy_from_slice(entries);
        Some(grants)
    }
}
