//! What the kernel side remembers of one task.

use crate::{Identity, verdict::byte_enum};

byte_enum! {
    /// Where a task stands between the runtime's set-up and the workload.
    TaskState {
        /// Nothing is known. A task in a workload's cgroup is then workload: the strict reading.
        Unmarked = 0 => "unmarked",
        /// Placed into the cgroup by a host process, and no new program executed since.
        Setup = 1 => "setup",
        /// Has executed a program inside the cgroup. Nothing leads back from here.
        Workload = 2 => "workload",
    }
}

/// The value of the task storage map, kept on the leader of each thread group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct TaskMark {
    /// A [`TaskState`].
    pub state: u32,
    /// The mount namespace in which the host process placed the task.
    pub placed_in: u32,
    /// The address of its memory map when it was marked: the same at an exec means that this exec
    /// was under way already.
    pub memory: u64,
    /// 1 once `origin` is set.
    pub origin_known: u32,
    /// 1 when a workload put it where that workload is not at home: then `origin` says whose it is,
    /// whatever cgroup it is in.
    pub moved: u32,
    /// The workload that it is a part of, as its entry was when it executed its program.
    pub origin: Identity,
}
