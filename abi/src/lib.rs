//! Records and map keys shared by the agent and the kernel side.
//!
//! Everything here is `repr(C)`, has explicit padding and no pointers. The kernel side writes it,
//! the agent reads it (or the other way round for map values), so a change here is a change of the
//! interface between the two: both are built from this one file set.
#![no_std]

mod count;
pub mod grants;
mod identity;
mod level;
mod lineage;
mod offsets;
mod own;
mod record;
mod recorded;
mod repeats;
mod rule;
mod shared;
mod state;
mod verdict;

pub use count::{CountKey, Fate};
pub use grants::{Grant, Grants};
pub use identity::{
    CANARY_TENANT, Identity, NAME_LEN, ScopeName, UNIDENTIFIED_TENANT, identity_flag,
};
pub use level::{
    CANARY_SLOT, LevelTable, MAX_LEVELS, NOT_A_WORKLOAD_SLOT, PENDING_SLOT, WATCH_SLOT,
};
pub use lineage::{ARGUMENTS_LEN, Ancestor, Executed, Lineage, NEAREST, Told, lineage_flag};
pub use offsets::{ABSENT, OFFSETS, Offset, PLACE_IMMEDIATE, PLACE_LOAD, place_of};
pub use own::{OwnFile, START_TICK, own_device, own_process};
pub use record::{
    CgroupGone, CgroupMade, File, Header, Kind, Lone, OnFile, OnTask, PATH_LEN, Party, party_flag,
    record_flag,
};
pub use recorded::{
    RECORDED_COMPAT, RECORDED_LEN, RECORDED_LOST, RECORDED_NUMBERS, RECORDED_OTHER,
    RECORDED_VALUES, RECORDED_WATCHED, RecordedValue,
};
pub use repeats::{ActKey, Repeats, WINDOW, WINDOW_OVER, file_target, name_target, process_target};
pub use rule::{MAX_RULES, Rule};
pub use state::{
    STATE_AGENT, STATE_CANARY, STATE_EXECUTED_LOST, STATE_GENERATION, STATE_LIFECYCLE_LOST,
    STATE_MOVED, STATE_OVERFLOW, STATE_OWN_DEVICES,
};
pub use verdict::{Effect, Phase, Relation, Rung, Verdict};

/// Marks what may be copied to and from a BPF map.
#[cfg(feature = "maps")]
mod pod {
    #![allow(unsafe_code)]
    use super::{
        ActKey, CountKey, Grants, Identity, LevelTable, OwnFile, RecordedValue, Repeats, ScopeName,
        SensitiveFile, TaskMark,
    };

    // SAFETY: repr(C), no padding (checked by the zerocopy derive), any bit pattern is valid.
    unsafe impl aya::Pod for Identity {}
    // SAFETY: as above.
    unsafe impl aya::Pod for CountKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Grants {}
    // SAFETY: as above.
    unsafe impl aya::Pod for RecordedValue {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ActKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Repeats {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LevelTable {}
    // SAFETY: as above.
    unsafe impl aya::Pod for OwnFile {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ScopeName {}
    // SAFETY: as above.
    unsafe impl aya::Pod for SensitiveFile {}
    // SAFETY: as above.
    unsafe impl aya::Pod for TaskMark {}
}

mod file_key;
mod task_mark;
pub use file_key::{SENSITIVE_NAME_LEN, SensitiveFile};
pub use task_mark::{TaskMark, TaskState};
