//! What `prove` needs of the kernel side, and no more.

use std::{os::fd::OwnedFd, path::Path};

use bulkhead_abi::{Effect, Grants, Identity, LevelTable, Relation, Rule, Rung, Verdict};

/// The guard as `prove` uses it.
pub(crate) trait Engine {
    /// Says who a cgroup belongs to.
    fn name_cgroup(&mut self, cgroup: u64, identity: Identity) -> anyhow::Result<()>;
    /// Makes what the next trial does new: otherwise it would be counted with what was the same in
    /// the one before, instead of told.
    fn forget_acts(&mut self) -> anyhow::Result<()>;

    /// Says which devices a container has been granted.
    fn grant(&mut self, container: u64, grants: &Grants) -> anyhow::Result<()>;

    /// Forgets a cgroup that is about to be removed.
    fn forget_cgroup(&mut self, cgroup: u64) -> anyhow::Result<()>;

    /// Writes a level's table.
    fn set_level(&mut self, slot: u16, table: &LevelTable) -> anyhow::Result<()>;

    /// Says that a directory is the agent's.
    fn protect(&mut self, directory: &Path) -> anyhow::Result<()>;

    /// Takes the verdicts that have arrived.
    fn drain(&mut self) -> anyhow::Result<Vec<Sighting>>;

    /// Verdict records that found no room, since the engine was loaded.
    fn lost(&mut self) -> anyhow::Result<u64>;

    /// The rung on which this node's kernel carries a rule: of its weakest way in.
    fn rung(&self, rule: Rule) -> Rung;

    /// A duplicate of what becomes readable when a verdict arrives, where there is such a thing.
    /// The verdicts are drained every 2 ms all the same.
    fn wake(&self) -> anyhow::Result<Option<OwnedFd>> {
        Ok(None)
    }
}

/// One verdict of the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// When the agent had it, nanoseconds since boot.
    pub(crate) received: u64,
    /// When the kernel side wrote it, nanoseconds since boot.
    pub(crate) time: u64,
    /// The actor's cgroup.
    pub(crate) cgroup: u64,
    pub(crate) rule: Rule,
    pub(crate) relation: Relation,
    pub(crate) verdict: Verdict,
    pub(crate) effect: Effect,
}

/// No guard at all: shows what the node lets through by itself.
pub(crate) struct Unguarded;

impl Engine for Unguarded {
    fn forget_acts(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn name_cgroup(&mut self, _cgroup: u64, _identity: Identity) -> anyhow::Result<()> {
        Ok(())
    }

    fn grant(&mut self, _container: u64, _grants: &Grants) -> anyhow::Result<()> {
        Ok(())
    }

    fn forget_cgroup(&mut self, _cgroup: u64) -> anyhow::Result<()> {
        Ok(())
    }

    fn set_level(&mut self, _slot: u16, _table: &LevelTable) -> anyhow::Result<()> {
        Ok(())
    }

    fn protect(&mut self, _directory: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    fn drain(&mut self) -> anyhow::Result<Vec<Sighting>> {
        Ok(Vec::new())
    }

    fn lost(&mut self) -> anyhow::Result<u64> {
        Ok(0)
    }

    fn rung(&self, _rule: Rule) -> Rung {
        Rung::Blind
    }
}
