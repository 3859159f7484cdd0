//! Who a cgroup belongs to.

use crate::NOT_A_WORKLOAD_SLOT;

/// Bytes of a cgroup's name that the kernel side reports; a container's scope has about 80.
pub const NAME_LEN: usize = 128;

/// The tenant of a cgroup that is known to be a workload but has not been named yet. It is
/// nobody's fellow: two of them are strangers to each other.
pub const UNIDENTIFIED_TENANT: u32 = 0;
/// [`Identity::tenant`] of the agent's own canary: no configuration reaches it.
pub const CANARY_TENANT: u32 = u32::MAX - 2;

/// Bits of [`Identity::flags`].
pub mod identity_flag {
    /// The kernel side inherited or guessed this entry; the agent has not confirmed it.
    pub const UNCONFIRMED: u16 = 1;
    /// A directory of workloads (a kubepods slice), not a workload: its children are new
    /// containers of their own.
    pub const SLICE: u16 = 2;
    /// A directory that the configuration gives to a tenant: each child is a container of it.
    pub const CONTAINERS_BELOW: u16 = 4;
}

/// The value of the cgroup map: one entry for each cgroup of a workload, none for the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct Identity {
    /// The cgroup id of the container's own cgroup; 0 while nobody has named the container.
    pub container: u64,
    /// The cgroup id of the pod's cgroup; 0 where there is no pod.
    pub pod: u64,
    /// The agent's number of the tenant; [`UNIDENTIFIED_TENANT`] while unknown.
    pub tenant: u32,
    /// Index of the level table that decides for this workload.
    pub slot: u16,
    /// See [`identity_flag`].
    pub flags: u16,
}

impl Identity {
    /// Nobody's workload: the node itself.
    pub const HOST: Self =
        Self { container: 0, pod: 0, tenant: 0, slot: NOT_A_WORKLOAD_SLOT, flags: 0 };

    /// Whether this is the node itself.
    #[inline(always)]
    pub const fn is_host(&self) -> bool {
        self.slot == NOT_A_WORKLOAD_SLOT
    }
}

/// The key of the scope map, a longest-prefix match over the names that container runtimes give
/// to cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct ScopeName {
    /// The start of the cgroup's name, zero-filled.
    pub name: [u8; 32],
}
