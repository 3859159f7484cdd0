//! Indexes of the map `STATE`, in which the kernel side and the agent tell each other numbers.

/// 1 after a cgroup found no room in its map; entries are then inherited by walking.
pub const STATE_OVERFLOW: u32 = 0;
/// Lifecycle records that found no room.
pub const STATE_LIFECYCLE_LOST: u32 = 1;
/// The word that the kernel side's own canary saw.
pub const STATE_CANARY: u32 = 2;
/// 1 after a workload put a task outside its own cgroups; marks are then looked at.
pub const STATE_MOVED: u32 = 3;
/// The agent's process; see [`crate::own_process`].
pub const STATE_AGENT: u32 = 4;
/// Bits of the devices with files of the agent's; see [`crate::own_device`].
pub const STATE_OWN_DEVICES: u32 = 5;
/// Executed programs whose records found no room.
pub const STATE_EXECUTED_LOST: u32 = 6;
/// The number of the programs that lead; see `ebpf/src/generation.rs`.
pub const STATE_GENERATION: u32 = 7;
