//! What the kernel side says about one act. A record is as large as its kind needs.

use crate::{Identity, NAME_LEN, shared::shared, verdict::byte_enum};

/// Bytes kept of a path; the end of the path is what is kept.
pub const PATH_LEN: usize = 256;

byte_enum! {
    /// The first field of every record.
    Kind {
        /// [`Lone`]: an act without a target.
        Lone = 1 => "lone",
        /// [`OnTask`]: an act on a process.
        OnTask = 2 => "on-task",
        /// [`OnFile`]: an act on a file or mount.
        OnFile = 3 => "on-file",
        /// [`CgroupMade`].
        CgroupMade = 10 => "cgroup-made",
        /// [`CgroupGone`].
        CgroupGone = 11 => "cgroup-gone",
        /// [`crate::Executed`].
        Executed = 12 => "executed",
    }
}

/// Bits of [`Header::flags`].
pub mod record_flag {
    /// The call came through a 32-bit entry.
    pub const COMPAT: u8 = 1;
}

/// Bits of [`Party::flags`].
pub mod party_flag {
    /// The runtime's own set-up of the container, not the workload.
    pub const SETUP: u16 = 1;
    /// A kernel thread.
    pub const KERNEL_THREAD: u16 = 2;
    /// The path's beginning did not fit, or one of its names was shortened.
    pub const PATH_TRUNCATED: u16 = 4;
    /// The cgroup is a workload's.
    pub const WORKLOAD: u16 = 8;
    /// A file's owner is known.
    pub const OWNED: u16 = 16;
}

shared! {
    /// The beginning of every record.
    Header {
        /// Time since boot, in nanoseconds (CLOCK_BOOTTIME).
        time: u64,
        /// Three numbers of the act whose meaning the rule gives (flags, family, capability, ...).
        arguments: [u64; 3],
        /// What tells the target from others: [`crate::ActKey::target`].
        target: [u64; 3],
        /// The system call the task is in, -1 where it is in none.
        syscall: i32,
        /// A [`crate::Rule`]; 0 in lifecycle records.
        rule: u16,
        /// A [`Kind`].
        kind: u8,
        /// A [`crate::Verdict`].
        verdict: u8,
        /// A [`crate::Relation`].
        relation: u8,
        /// A [`crate::Effect`].
        effect: u8,
        /// A [`crate::Phase`].
        phase: u8,
        /// A [`crate::Rung`].
        rung: u8,
        /// See [`record_flag`].
        flags: u8,
        /// Zero.
        padding: [u8; 3],
    }
}

shared! {
    /// One end of an act: a process, and whose it is.
    Party {
        /// The executable's path inside its file system, at the end of the buffer.
        path: [u8; PATH_LEN],
        /// Whose it is; [`Identity::HOST`] for the node itself.
        identity: Identity,
        /// Its cgroup v2 id.
        cgroup: u64,
        /// Its start, nanoseconds since boot: with the pid, an identity that is never reused.
        start_time: u64,
        /// Its effective capabilities.
        capabilities: u64,
        /// The executable's inode number.
        exe_inode: u64,
        /// The executable's device (kernel encoding: 12 bits major, 20 bits minor).
        exe_device: u32,
        /// Process id, in the initial pid namespace.
        pid: u32,
        /// Thread id.
        tid: u32,
        /// Effective user id, in the initial user namespace.
        uid: u32,
        /// Effective group id, in the initial user namespace.
        gid: u32,
        /// Parent's process id.
        parent_pid: u32,
        /// Inode number of its mount namespace.
        mount_namespace: u32,
        /// Inode number of its user namespace.
        user_namespace: u32,
        /// Zero.
        padding: u32,
        /// Where the path begins in its buffer.
        path_start: u16,
        /// See [`party_flag`].
        flags: u16,
        /// The task's name, zero-filled; the tenant chooses it.
        comm: [u8; 16],
        /// The parent's name, zero-filled.
        parent_comm: [u8; 16],
    }
}

shared! {
    /// The file or mount an act is on.
    File {
        /// The path inside its file system, at the end of the buffer; or the mount's source.
        path: [u8; PATH_LEN],
        /// The inode number; 0 where there is none.
        inode: u64,
        /// The file system's magic number, or 0.
        magic: u64,
        /// The file system's device.
        device: u32,
        /// For device nodes, the device they stand for.
        special_device: u32,
        /// Type and permissions (i_mode).
        mode: u32,
        /// Where the path begins in its buffer.
        path_start: u16,
        /// [`party_flag::PATH_TRUNCATED`], [`party_flag::OWNED`] or 0.
        flags: u16,
        /// The file system's type, where the act names one.
        fstype: [u8; 16],
        /// Not used. The verifier must see that a path's longest last step stays in the record.
        reserved: [u64; 7],
        /// Whose it is, where [`party_flag::OWNED`] is set: after the room that a path may seem to
        /// need, and written after the path.
        owner: Identity,
    }
}

shared! {
    /// An act without a target.
    Lone {
        /// What, when, and the decision.
        header: Header,
        /// Who.
        actor: Party,
    }
}

shared! {
    /// An act on a process.
    OnTask {
        /// What, when, and the decision.
        header: Header,
        /// On whom.
        target: Party,
        /// Who.
        actor: Party,
    }
}

shared! {
    /// An act on a file or mount.
    OnFile {
        /// What, when, and the decision.
        header: Header,
        /// On what.
        target: File,
        /// Who.
        actor: Party,
    }
}

shared! {
    /// A cgroup was made, below a workload or with a name that a runtime gives.
    CgroupMade {
        /// When.
        header: Header,
        /// Its id.
        cgroup: u64,
        /// Its parent's id.
        parent: u64,
        /// The entry that the kernel side gave it; [`Identity::HOST`] when it gave none.
        identity: Identity,
        /// Its name, zero-filled.
        name: [u8; NAME_LEN],
    }
}

shared! {
    /// A cgroup was removed, and its entry with it.
    CgroupGone {
        /// When.
        header: Header,
        /// Its id.
        cgroup: u64,
        /// The entry that it had; [`Identity::HOST`] when it had none.
        identity: Identity,
    }
}
