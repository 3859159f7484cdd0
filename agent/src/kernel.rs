//! The boundary to the kernel: everything that speaks bpf(2) is below this module.
//!
//! ```text
//! btf -> offsets       where the running kernel keeps its fields
//! hooks                which hook serves which rules, and what stands in where it is missing
//! ladder               what each hook and rule can really do here, and why
//! attach               the best program for each hook, and the account of it
//! guard                the loaded programs and their maps
//! records              the rings, as bytes
//! ```

mod attach;
mod btf;
mod guard;
mod hooks;
mod ladder;
mod links;
mod offsets;
mod records;
#[cfg(test)]
mod tests;

pub(crate) use guard::{Guard, MapError};
pub(crate) use ladder::{Ladder, State};
pub(crate) use records::Records;
