//! Seccomp profiles on this node: the levels' own, where the kubelet looks for them.

mod install;

pub(crate) use install::install;
