//! "Deny and tell": calls that a profile refuses by SCMP_ACT_NOTIFY are answered EPERM here, and told.
//!
//! ```text
//! runc, crun -> socket -> supervisor: receive, look who it is, answer EPERM -> a line
//!                                          watchdog: reads lines; none in time: ends the supervisor
//! ```
//!
//! The supervisor is a process of its own. A task that waits for an answer waits for ever, and the
//! only way to free it from a supervisor that hangs is to close the listeners, wherever the
//! supervisor stands; ending its process does that. The kernel then answers ENOSYS. Whatever goes
//! wrong, the call is not made.
//!
//! Nothing is ever allowed here, so that no decision depends on memory that the caller can change
//! after it was looked at.

mod listener;
mod relay;
mod supervisor;
mod sys;
mod watchdog;

use serde::{Deserialize, Serialize};

pub(crate) use self::{relay::Relay, supervisor::supervise, watchdog::watch};

/// Where the runtimes hand over their listeners.
pub(crate) const SOCKET: &str = "/run/bulkhead/seccomp.sock";

/// What the supervisor says, a JSON document a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "camelCase")]
pub(crate) enum Line {
    /// It is alive.
    Alive,
    /// It answers for a container.
    Took {
        /// The runtime's id of it.
        container: String,
    },
    /// A runtime handed over something that is no listener.
    Bad {
        /// What is wrong.
        why: String,
    },
    /// It refused a call.
    Refused(RefusedCall),
}

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusedCall {
    /// The name; the number where it has none here.
    pub(crate) call: String,
    /// Whether it came through another entry than the machine's own.
    pub(crate) compat: bool,
    /// Its arguments, as the registers held them.
    pub(crate) arguments: [u64; 6],
    /// The thread, in the supervisor's process namespace.
    pub(crate) pid: u32,
    /// The thread's name, which it may choose.
    pub(crate) comm: String,
    /// Its cgroup below the mount, where it could be looked at while the call waited.
    pub(crate) cgroup: Option<String>,
    /// The runtime's id of the container whose profile asked.
    pub(crate) container: String,
    /// Calls of this container that were refused since the last line and are not told.
    pub(crate) untold: u64,
}
