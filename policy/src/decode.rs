//! Bytes from the ring buffer -> a checked record.
//!
//! The bytes come from the kernel side of this same build, and are read as if they did not: a
//! pinned program of another version may have written them. Every length, number and offset is
//! checked here once, so that what comes after can rely on it.

use bulkhead_abi as abi;
use bulkhead_abi::{Effect, Kind, Phase, Relation, Rule, Rung, Verdict};
use zerocopy::{FromBytes, FromZeros, Immutable, KnownLayout};

/// One record whose every field holds what its type promises.
#[derive(Clone, Debug)]
pub enum Record {
    /// A guard rule matched.
    Act(Box<Act>),
    /// A cgroup was made.
    CgroupMade(abi::CgroupMade),
    /// A cgroup was removed.
    CgroupGone(abi::CgroupGone),
    /// A workload's process has executed a program. The offset of its path has been checked.
    Executed(Box<abi::Executed>),
}

/// A match of a guard rule: what was decided, who acted, and on what.
#[derive(Clone, Debug)]
pub struct Act {
    /// What, when, and the decision.
    pub decision: Decision,
    /// Who. The offset of its path has been checked.
    pub actor: abi::Party,
    /// On what.
    pub target: Target,
    /// From which processes the actor comes. Zero where the record has none.
    pub lineage: abi::Lineage,
}

impl Act {
    /// What the kernel side counts its repeats by.
    pub fn key(&self) -> abi::ActKey {
        let identity = &self.actor.identity;
        let decision = &self.decision;
        abi::ActKey {
            target: decision.target,
            container: if identity.container == 0 { self.actor.cgroup } else { identity.container },
            tenant: identity.tenant,
            process: self.actor.pid,
            syscall: decision.syscall.map_or(-1, u32::cast_signed),
            rule: decision.rule as u8,
            relation: decision.relation as u8,
            verdict: decision.verdict as u8,
            outcome: abi::ActKey::outcome(decision.effect, decision.phase, decision.compat),
        }
    }
}

/// What an act is on.
#[derive(Clone, Debug)]
pub enum Target {
    /// Nothing that has an owner or a name.
    None,
    /// A process. The offset of its path has been checked.
    Task(abi::Party),
    /// A file or mount. The offset of its path has been checked.
    File(abi::File),
}

/// [`abi::Header`] with its numbers turned into their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Nanoseconds since boot.
    pub time: u64,
    /// Three numbers whose meaning the rule gives.
    pub arguments: [u64; 3],
    /// What tells the target from others.
    pub target: [u64; 3],
    /// The system call the actor was in, if in one.
    pub syscall: Option<u32>,
    /// Whether that call came through a 32-bit entry.
    pub compat: bool,
    /// The rule that matched.
    pub rule: Rule,
    /// What the policy asked for.
    pub verdict: Verdict,
    /// How the actor stands to the target.
    pub relation: Relation,
    /// What became of the act.
    pub effect: Effect,
    /// Whether other checks were still to come.
    pub phase: Phase,
    /// What kind of program saw it.
    pub rung: Rung,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the kind needs.
    #[error("a record of kind `{kind}` needs {need} bytes and has {have}")]
    TooShort {
        /// The kind's word; `header` when not even the kind could be read.
        kind: &'static str,
        /// Bytes the kind needs.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// A kind that this build does not know.
    #[error("unknown record kind {0}")]
    UnknownKind(u8),
    /// A byte that stands for none of a field's values.
    #[error("byte {byte} is no value of the field `{field}`")]
    UnknownValue {
        /// The field of the header.
        field: &'static str,
        /// The byte found there.
        byte: u8,
    },
    /// A rule number that this build does not know.
    #[error("unknown rule number {0}")]
    UnknownRule(u16),
    /// A path that begins beyond its buffer.
    #[error("the {of}'s path begins at byte {start} of a buffer of {}", abi::PATH_LEN)]
    PathStart {
        /// `actor` or `target`.
        of: &'static str,
        /// Where it claims to begin.
        start: u16,
    },
}

impl DecodeError {
    /// The word for metrics: one for each variant.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too_short",
            Self::UnknownKind(_) => "unknown_kind",
            Self::UnknownValue { .. } => "unknown_value",
            Self::UnknownRule(_) => "unknown_rule",
            Self::PathStart { .. } => "path_start",
        }
    }
}

/// Reads one record. Bytes after the end of its kind are ignored: a newer kernel side may append.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let header: abi::Header = read("header", bytes)?;
    let kind = Kind::from_u8(header.kind).ok_or(DecodeError::UnknownKind(header.kind))?;
    Ok(match kind {
        Kind::Lone => {
            let record: abi::Lone = read(kind.as_str(), bytes)?;
            act(&header, record.actor, Target::None, lineage::<abi::Lone>(bytes))?
        }
        Kind::OnTask => {
            let record: abi::OnTask = read(kind.as_str(), bytes)?;
            check_path("target", record.target.path_start)?;
            let lineage = lineage::<abi::OnTask>(bytes);
            act(&header, record.actor, Target::Task(record.target), lineage)?
        }
        Kind::OnFile => {
            let record: abi::OnFile = read(kind.as_str(), bytes)?;
            check_path("target", record.target.path_start)?;
            let lineage = lineage::<abi::OnFile>(bytes);
            act(&header, record.actor, Target::File(record.target), lineage)?
        }
        Kind::CgroupMade => Record::CgroupMade(read(kind.as_str(), bytes)?),
        Kind::CgroupGone => Record::CgroupGone(read(kind.as_str(), bytes)?),
        Kind::Executed => {
            let record: abi::Executed = read(kind.as_str(), bytes)?;
            check_path("program", record.path_start)?;
            Record::Executed(Box::new(record))
        }
    })
}

/// The bytes of a path that lies at the end of its buffer.
pub fn path(buffer: &[u8; abi::PATH_LEN], start: u16) -> &[u8] {
    zero_filled(buffer.get(usize::from(start)..).unwrap_or_default())
}

/// The bytes before the first zero.
pub fn zero_filled(buffer: &[u8]) -> &[u8] {
    buffer.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// What stands behind an act of this type. Records of an older kernel side have nothing there.
fn lineage<T>(bytes: &[u8]) -> abi::Lineage {
    let behind = bytes.get(size_of::<T>()..).unwrap_or_default();
    match abi::Lineage::read_from_prefix(behind) {
        Ok((lineage, _rest)) => lineage,
        Err(_too_short) => abi::Lineage::new_zeroed(),
    }
}

fn act(
    header: &abi::Header,
    actor: abi::Party,
    target: Target,
    lineage: abi::Lineage,
) -> Result<Record, DecodeError> {
    let decision = decision(header)?;
    check_path("actor", actor.path_start)?;
    Ok(Record::Act(Box::new(Act { decision, actor, target, lineage })))
}

fn decision(header: &abi::Header) -> Result<Decision, DecodeError> {
    Ok(Decision {
        time: header.time,
        arguments: header.arguments,
        target: header.target,
        // -1 (and any other negative number) is "in no system call".
        syscall: u32::try_from(header.syscall).ok(),
        compat: header.flags & abi::record_flag::COMPAT != 0,
        rule: Rule::from_u16(header.rule).ok_or(DecodeError::UnknownRule(header.rule))?,
        verdict: word("verdict", header.verdict, Verdict::from_u8)?,
        relation: word("relation", header.relation, Relation::from_u8)?,
        effect: word("effect", header.effect, Effect::from_u8)?,
        phase: word("phase", header.phase, Phase::from_u8)?,
        rung: word("rung", header.rung, Rung::from_u8)?,
    })
}

fn word<T>(
    field: &'static str,
    byte: u8,
    from: impl Fn(u8) -> Option<T>,
) -> Result<T, DecodeError> {
    from(byte).ok_or(DecodeError::UnknownValue { field, byte })
}

fn check_path(of: &'static str, start: u16) -> Result<(), DecodeError> {
    if usize::from(start) > abi::PATH_LEN {
        return Err(DecodeError::PathStart { of, start });
    }
    Ok(())
}

fn read<T: FromBytes + KnownLayout + Immutable>(
    kind: &'static str,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    match T::read_from_prefix(bytes) {
        Ok((value, _rest)) => Ok(value),
        Err(_too_short) => {
            Err(DecodeError::TooShort { kind, need: size_of::<T>(), have: bytes.len() })
        }
    }
}
