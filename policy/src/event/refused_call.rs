//! A system call that a container's seccomp profile refused, and told.

use serde::Serialize;

use super::{Container, Pod, Text};

/// A system call that a container's seccomp profile refused, and told.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedCall {
    /// Its name; its number where it has none here.
    pub call: Text,
    /// Whether it came through a 32-bit entry.
    pub compat: bool,
    /// Its arguments, as the registers held them.
    pub arguments: [u64; 6],
    /// The container's tenant; absent where nobody has named the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text>,
    /// The container's pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The container, by the cgroup of the task while its call waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// The runtime's id of the container whose profile asked.
    pub profile_of: Text,
    /// The thread.
    pub pid: u32,
    /// The thread's name, which it may choose.
    pub comm: Text,
    /// Refused calls of this container since the last event that have none of their own.
    pub untold: u64,
}
