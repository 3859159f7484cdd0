//! The acts, one file a family. Each is harmless also where it goes through: what it touches is
//! its own process, a prop in its own mount namespace, or a target that `prove` started.

pub(crate) mod bpf;
pub(crate) mod capabilities;
pub(crate) mod control;
pub(crate) mod files;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod processes;
pub(crate) mod sockets;
