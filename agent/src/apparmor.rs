//! AppArmor profiles on this node: compiled, loaded, replaced, listed, unloaded.
//!
//! ```text
//! levels    the profiles of the levels, as text
//! compiler  text to policy: apparmor_parser, and nothing else of it
//! policy    what a compiled policy says of itself: names and modes
//! kernel    the kernel's interface: what is loaded, load, replace, remove
//! users     which processes and containers a profile holds
//! change    load and unload, with what must be true before
//! keeper    the levels' profiles while the agent runs
//! ```
//!
//! The name is what a container is given when it starts, and for good; the content changes under
//! it. So a change is one write of the whole compiled policy, which the kernel takes or refuses as a
//! whole, and nothing is ever removed that still holds somebody.

mod change;
mod compiler;
mod keeper;
mod kernel;
pub(crate) mod levels;
mod policy;
mod users;

pub(crate) use change::{Loaded, May, Outcome, load, unload};
pub(crate) use compiler::{CompileError, Compiler, Source};
pub(crate) use keeper::{Keeper, Told, open};
pub(crate) use kernel::{Kernel, Profile};
pub(crate) use policy::{Mode, Named, profiles};
pub(crate) use users::{User, users};
