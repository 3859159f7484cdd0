//! What is really in force in each container, against what its level requires.
//!
//! ```text
//! turns    whose turn it is
//! round    what has changed since the last look
//! look     one container: its processes, point by point the weakest
//! process  one process: what /proc says of it
//! devices  one cgroup: whether the runtime's device program is there
//! ```
//!
//! Nothing is opened through a container's own root: what a tenant mounts there cannot make the
//! agent wait. The kernel answers all of it.

mod devices;
mod look;
mod process;
mod round;
mod turns;

pub(crate) use look::{Node, VerifyError};
pub(crate) use round::{GuardCan, Report, Subject, Verifier};
