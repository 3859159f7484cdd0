//! The engine that is the real guard.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use anyhow::Context;
use bulkhead_abi::{Grants, Identity, LevelTable, Rule, Rung};
use bulkhead_policy::decode::{self, Record};

use super::{
    actor::now,
    engine::{Engine, Sighting},
};
use crate::kernel::{Guard, Verdicts, identify_all, is_lost};

/// A guard that this process loaded for itself, and its rings.
pub(crate) struct Guarded {
    guard: Guard,
    events: Verdicts,
}

impl Guarded {
    /// Takes a guard whose rings nobody has taken.
    pub(crate) fn new(mut guard: Guard) -> anyhow::Result<Self> {
        let events = guard.take_events().context("somebody else reads the guard's rings")?;
        Ok(Self { guard, events })
    }
}

impl Engine for Guarded {
    fn name_cgroup(&mut self, cgroup: u64, identity: Identity) -> anyhow::Result<()> {
        Ok(self.guard.set_identity(cgroup, identity)?)
    }

    fn grant(&mut self, container: u64, grants: &Grants) -> anyhow::Result<()> {
        Ok(self.guard.set_grants(container, Some(grants))?)
    }

    fn forget_acts(&mut self) -> anyhow::Result<()> {
        for (act, _) in self.guard.acts()? {
            self.guard.forget_act(&act)?;
        }
        Ok(())
    }

    fn forget_cgroup(&mut self, cgroup: u64) -> anyhow::Result<()> {
        Ok(self.guard.forget(cgroup)?)
    }

    fn set_level(&mut self, slot: u16, table: &LevelTable) -> anyhow::Result<()> {
        Ok(self.guard.set_level(slot, table)?)
    }

    fn protect(&mut self, directory: &Path) -> anyhow::Result<()> {
        let (files, failed) = identify_all([directory]);
        anyhow::ensure!(failed.is_empty(), "cannot look at {}", failed.join(", "));
        Ok(self.guard.protect(&files)?)
    }

    fn drain(&mut self) -> anyhow::Result<Vec<Sighting>> {
        let mut records = Vec::new();
        self.events.drain(|bytes| records.push(sighting(bytes)));
        records.into_iter().filter_map(Result::transpose).collect()
    }

    fn lost(&mut self) -> anyhow::Result<u64> {
        let counts = self.guard.counts()?;
        let lost = counts.iter().filter(|(key, _)| is_lost(key));
        Ok(lost.map(|(_, count)| count).sum())
    }

    fn rung(&self, rule: Rule) -> Rung {
        self.guard.ladder().rung(rule)
    }

    fn wake(&self) -> anyhow::Result<Option<OwnedFd>> {
        Ok(Some(self.events.as_fd().try_clone_to_owned()?))
    }
}

/// What `prove` needs of a record; lifecycle records are nothing to it.
fn sighting(bytes: &[u8]) -> anyhow::Result<Option<Sighting>> {
    let received = now()?;
    let Record::Act(act) = decode::decode(bytes)? else { return Ok(None) };
    let decision = act.decision;
    Ok(Some(Sighting {
        received,
        time: decision.time,
        cgroup: act.actor.cgroup,
        rule: decision.rule,
        relation: decision.relation,
        verdict: decision.verdict,
        effect: decision.effect,
    }))
}
