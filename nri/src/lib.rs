//! A plugin's side of the Node Resource Interface (NRI), by which containerd and CRI-O let others
//! adjust a container before it is made.
//!
//! ```text
//! trunk       one socket, cut into frames of two connections
//! message     ttrpc: requests and responses inside the frames
//! session     one connection to a runtime: register, configure, synchronize, then its calls
//! plugin      what a plugin answers
//! version     what a runtime understands, by its version
//! connection  sessions for ever: again, with growing pauses, when the runtime is gone
//! double      a runtime for tests, as strict as the real ones (feature `double`)
//! ```
//!
//! The runtime calls one plugin after the other under one lock, so an answer must come from memory.
//! What the runtime sends is not trusted to be sound: sizes are bounded before memory is taken.

pub mod connection;
#[cfg(feature = "double")]
pub mod double;
mod message;
pub mod plugin;
mod session;
mod trunk;
mod version;

pub use connection::{Backoff, run};
pub use plugin::{Call, Plugin, Refusal, Runtime};
pub use session::SessionError;
pub use version::NriVersion;

/// The messages, as proto/nri.proto has them.
#[expect(missing_docs, clippy::all, reason = "generated; the documentation is in the source")]
pub mod api {
    include!(concat!(env!("OUT_DIR"), "/nri.rs"));
}

#[expect(unreachable_pub, reason = "generated")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/ttrpc.rs"));
}

/// Where runtimes listen for plugins. Its directory is what a container mounts: the runtime makes
/// the socket anew at each of its starts.
pub const SOCKET: &str = "/var/run/nri/nri.sock";
