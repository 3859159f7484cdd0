//! What containers may use, held by the files of their cgroups, and who stalls whom.
//!
//! A thread of its own: a write to a cgroup can take as long as the kernel needs to take memory back.
//! The loop gives it the containers ([`Snapshot`]); it answers with what it found ([`Report`]).
//!
//! ```text
//! cgroup      one cgroup's files
//! hold        one file: read, compare, write, within what the pod asked for
//! container   all files of a container; drift, and who keeps undoing
//! remembered  what was there before the agent changed it, across its restarts
//! pressure    samples of the kernel's pressure files
//! disks       the node's disks
//! units       what systemd has on record, where it made the cgroups
//! ```

mod cgroup;
mod container;
mod disks;
mod hold;
mod pass;
mod pressure;
mod remembered;
mod units;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use bulkhead_policy::{
    catalogue::Severity,
    limits::{Limits, Plan, TenantLimits, Total, fair},
    pressure::Stall,
};
use tokio::sync::mpsc;

pub(crate) use self::{
    container::{HeldFile, State},
    pass::count,
};
use self::{pass::Passes, remembered::Remembered};
use crate::node::cgroupfs::CgroupTree;

/// What a container cannot live without, however many share a tenant's sum.
const LEAST: Total = Total { memory: Some(4 << 20), cpu: Some(10), pids: Some(1) };

/// A container to be held.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Its cgroup.
    pub(crate) cgroup: u64,
    /// The cgroup below the mount.
    pub(crate) path: String,
    /// What it is called in messages.
    pub(crate) name: String,
    /// Its tenant.
    pub(crate) tenant: String,
    /// Its level's limits.
    pub(crate) limits: Arc<Limits>,
    /// What its pod asked for, where that is known.
    pub(crate) asked: Option<Plan>,
    /// What its files held before anybody tightened them, where that is known.
    pub(crate) found: Plan,
}

/// All containers of the node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// The containers.
    pub(crate) subjects: Vec<Subject>,
    /// The tenants' sums.
    pub(crate) sums: Vec<(String, TenantLimits)>,
    /// Files alone: a container is about to start.
    pub(crate) hurry: bool,
}

/// What a pass found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// For the log: subject, severity, sentence.
    pub(crate) notices: Vec<(&'static str, Severity, String)>,
    /// Each container's files.
    pub(crate) held: Vec<(u64, Vec<HeldFile>)>,
    /// Files that were found loosened, by tenant.
    pub(crate) drifts: Vec<(String, String)>,
    /// What the containers of each tenant with a sum ask for.
    pub(crate) asks: Vec<(String, Vec<Total>)>,
    /// Who was stalled.
    pub(crate) stalls: Vec<Stall>,
}

/// The thread's end at the loop.
pub(crate) struct Enforcer {
    snapshots: SyncSender<Snapshot>,
    /// What the passes found.
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
}

impl Enforcer {
    /// Starts the thread, which ends with this end. `memory`: where it keeps what it changed.
    pub(crate) fn start(tree: CgroupTree, memory: PathBuf, boot: String) -> std::io::Result<Self> {
        let (snapshots, inbox) = sync_channel(2);
        let (outbox, reports) = mpsc::unbounded_channel();
        let passes = Passes::new(tree, Remembered::load(memory, boot));
        thread::Builder::new()
            .name("enforce".to_owned())
            .spawn(move || serve(passes, &inbox, &outbox))?;
        Ok(Self { snapshots, reports })
    }

    /// Has the containers looked at. A thread that is still busy with the last ones is left alone:
    /// `false`.
    pub(crate) fn look_at(&self, snapshot: Snapshot) -> bool {
        self.snapshots.try_send(snapshot).is_ok()
    }
}

fn serve(mut passes: Passes, inbox: &Receiver<Snapshot>, outbox: &mpsc::UnboundedSender<Report>) {
    while let Ok(snapshot) = inbox.recv() {
        if outbox.send(passes.run(&snapshot)).is_err() {
            return;
        }
    }
}

/// The parts of a tenant's sum for containers that ask for so much.
pub(crate) fn parts(sum: TenantLimits, asks: &[Total]) -> Vec<Total> {
    let divide = |total: Option<u64>, ask: fn(&Total) -> Option<u64>, least: Option<u64>| {
        let asks: Vec<_> = asks.iter().map(ask).collect();
        total.map(|total| fair(total, &asks, least.unwrap_or(0)))
    };
    let memory = divide(sum.memory, |it| it.memory, LEAST.memory);
    let cpu = divide(sum.cpu, |it| it.cpu, LEAST.cpu);
    let pids = divide(sum.pids, |it| it.pids, LEAST.pids);
    let at = |parts: &Option<Vec<u64>>, at: usize| parts.as_ref()?.get(at).copied();
    (0..asks.len())
        .map(|index| Total {
            memory: at(&memory, index),
            cpu: at(&cpu, index),
            pids: at(&pids, index),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(bytes: Option<u64>) -> Total {
        Total { memory: bytes, ..Total::default() }
    }

    #[test]
    fn a_sum_is_divided_and_what_has_none_is_left_alone() {
        let sum = TenantLimits { memory: Some(1 << 30), ..TenantLimits::default() };
        let parts = parts(sum, &[memory(Some(64 << 20)), memory(None), memory(None)]);
        let given: Vec<_> = parts.iter().map(|part| part.memory.unwrap() >> 20).collect();
        assert_eq!(given, [64, 480, 480]);
        assert!(parts.iter().all(|part| part.cpu.is_none() && part.pids.is_none()));
    }

    #[test]
    fn nobody_gets_less_than_it_needs_to_live() {
        let sum = TenantLimits { cpu: Some(20), pids: Some(2), ..TenantLimits::default() };
        let parts = parts(sum, &[Total::default(); 8]);
        assert!(parts.iter().all(|part| part.cpu == LEAST.cpu && part.pids == LEAST.pids));
    }
}
