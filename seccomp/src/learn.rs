//! Profiles from calls that were seen, and profiles put together.

mod merge;
mod observed;
mod trial;

pub use merge::{MergeError, merge};
pub use observed::{Learned, Observed, RUNTIME, Refused, WATCHED, profile};
pub use trial::{WouldRefuse, relaxed, told, would_refuse};
