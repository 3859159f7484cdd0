//! Profiles from calls that were seen, and profiles put together.

mod merge;
mod observed;

pub use merge::{MergeError, merge};
pub use observed::{Learned, Observed, RUNTIME, Refused, WATCHED, profile};
