//! Seccomp profiles on this node: the levels' own, where the kubelet looks for them, and those
//! that are learned from a container.

mod install;
mod record;

pub(crate) use install::install;
pub(crate) use record::Recording;
