//! The OCI runtime wrapper, as far as the agent has to do with it: what it is told, and how it comes
//! onto the node. The wrapper itself is the crate `bulkhead-runtime`.

mod handout;
mod install;

pub(crate) use handout::{Handout, LEVELS_FILE};
pub(crate) use install::{Installation, Installed, install};
