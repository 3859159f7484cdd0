//! From which processes a process comes, and which programs they executed.

use crate::{Header, Identity, PATH_LEN, shared::shared};

/// Ancestors that are kept beside the first of the container, the parent first.
pub const NEAREST: usize = 8;
/// Bytes kept of a command line.
pub const ARGUMENTS_LEN: usize = 256;

/// Bits of [`Lineage::flags`] and [`Ancestor::flags`].
pub mod lineage_flag {
    /// [`Lineage`]: kept since the first of its processes entered the container.
    pub const WHOLE: u32 = 1;
    /// [`Lineage`]: as the kernel's parents stood when the agent began; those that had ended by
    /// then are not in it.
    pub const ADOPTED: u32 = 2;
    /// The process has executed a program of its own; without it, it runs its parent's.
    pub const EXECUTED: u32 = 4;
}

shared! {
    /// A process that another one comes from.
    Ancestor {
        /// Its start, nanoseconds since boot: with the pid, an identity that is never reused.
        start_time: u64,
        /// Its process id, in the initial pid namespace.
        pid: u32,
        /// [`lineage_flag::EXECUTED`] or 0.
        flags: u32,
        /// Its name when the next one was born, zero-filled.
        comm: [u8; 16],
    }
}

shared! {
    /// The processes of the container that a process comes from, as each was born: a parent that
    /// has ended meanwhile is in it, and one that has adopted the process is not. The value of the
    /// kernel side's map, kept on the leader of each thread group, and the end of the record of an
    /// act.
    Lineage {
        /// How many there are.
        depth: u32,
        /// See [`lineage_flag`].
        flags: u32,
        /// The one that entered the container, where `depth` is not 0.
        first: Ancestor,
        /// The parent, its parent and so on: as many as `depth` says, or as there is room for.
        nearest: [Ancestor; NEAREST],
    }
}

shared! {
    /// A workload's process has executed a program.
    Executed {
        /// When.
        header: Header,
        /// The program's path inside its file system, at the end of the buffer.
        path: [u8; PATH_LEN],
        /// The command line as the kernel laid it down, each word with a zero behind it.
        arguments: [u8; ARGUMENTS_LEN],
        /// Whose the process is.
        identity: Identity,
        /// The process's start.
        start_time: u64,
        /// The start of the process that it was born of; 0 where that is not known.
        parent_start_time: u64,
        /// The process.
        pid: u32,
        /// The process that it was born of; 0 where that is not known.
        parent_pid: u32,
        /// Bytes that the command line has, which may be more than there is room for.
        arguments_length: u32,
        /// Where the path begins in its buffer.
        path_start: u16,
        /// [`crate::party_flag::PATH_TRUNCATED`] or 0.
        flags: u16,
        /// 1 where the runtime has put the process into the container.
        entered: u32,
        /// Zero.
        padding: u32,
    }
}

/// The record of an act with the lineage of its actor.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Told<T> {
    /// The act.
    pub act: T,
    /// The lineage; zero where it is not known.
    pub lineage: Lineage,
}
