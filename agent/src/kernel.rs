//! The boundary to the kernel: everything that speaks bpf(2) is below this module.
//!
//! ```text
//! btf -> offsets       where the running kernel keeps its fields
//! hooks                which hook serves which rules, and what stands in where it is missing
//! ladder               what each hook and rule can really do here, and why
//! attach               the best program for each hook, and the account of it
//! lineage              the programs of lineages, which may be missing
//! load                 the object into the kernel
//! guard                the loaded programs and their maps
//! pins, version        what outlives the agent, and which build of it is which
//! succession           one build after another without a gap
//! account, memory      what is kept beside the programs: their ladder, tenants' numbers
//! unload               the end of all of it
//! own                  what is the agent's: its process, its files
//! records              the rings, as bytes
//! recorder             the system calls of one container, for `bulkhead profile record`
//! ```

mod account;
mod attach;
mod bpf;
mod btf;
#[cfg(test)]
mod coverage;
mod guard;
mod hooks;
mod ladder;
mod lineage;
mod links;
mod load;
mod memory;
mod offsets;
mod own;
mod pins;
mod recorder;
mod records;
mod succession;
#[cfg(test)]
mod tests;
mod unload;
mod verification;
mod version;

pub(crate) use bpf::device_programs;
pub(crate) use guard::{Guard, MapError, NO_CONTAINER};
pub(crate) use hooks::is_decided_by_cgroup_program;
pub(crate) use ladder::{Ladder, State};
pub(crate) use load::LoadError;
pub(crate) use memory::{InHand, KnownTenant, LossKey, is_lost};
pub(crate) use own::identify_all;
pub(crate) use pins::{PinError, Pins};
pub(crate) use recorder::{Recorded, RecordedCall, Recorder};
pub(crate) use records::{Records, Verdicts};
pub(crate) use succession::{Start, Succeeded};
pub(crate) use unload::{Left, Removed, unload};
