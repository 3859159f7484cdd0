//! What the agent does about a container, beside refusing in the kernel: it freezes it and writes
//! down what it was doing.
//!
//! ```text
//! verdict freeze, or a command -> freeze: cgroup.freeze -> confirm -> capture -> event
//! a command                    -> thaw
//! ```
//!
//! A container that lacks what its level requires is ended where the level says so, and made anew by
//! whoever runs it.
//!
//! The whole container is frozen, never a cgroup inside it, and never the node, the agent's own
//! container or a system namespace. That a container is frozen is written in its cgroup, where it
//! outlives the agent; why it is, in a file of the state directory.

mod capture;
mod freezer;
pub(crate) mod inspect;
mod memory;
mod reader;
mod tell;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use bulkhead_abi::{CountKey, Rule, Verdict};
use bulkhead_policy::{
    catalogue::{self, Severity},
    event::{Action, CaptureFile, Cause, Event, Kind, Response, Text},
    policy::SYSTEM_NAMESPACES,
};
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::{
    capture::{Job, Worker},
    memory::{Memory, Remembered},
    tell::{about, response, severity_of},
};
use crate::{
    kernel::is_lost,
    workloads::{Listed, Workloads},
};

pub(crate) use self::{
    capture::members, freezer::State, memory::MemoryError, reader::Reader, tell::failed,
};

/// How long a container may take to stand still before that is told as a failure.
const PATIENCE: Duration = Duration::from_secs(2);
/// Refused freezes that are remembered, so that each is told once.
const MAX_WITHHELD: usize = 1_024;

/// An act that asks for a freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offence {
    container: Option<u64>,
    cgroup: u64,
    rule: Rule,
    pid: u32,
    time: Timestamp,
}

impl Offence {
    /// What this event asks for.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let Kind::Act(act) = &event.kind else { return None };
        (act.verdict == Verdict::Freeze).then_some(Self {
            container: act.actor.container_cgroup,
            cgroup: act.actor.cgroup_id,
            rule: act.rule.rule,
            pid: act.actor.process.pid,
            time: event.meta.time,
        })
    }
}

/// What comes back from what runs beside the agent's loop.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Every process stands still, or not in time.
    Confirmed { cgroup: u64, still: bool, took: Duration },
    /// A capture is written, or could not be.
    Captured { cgroup: u64, result: Result<CaptureFile, String> },
}

/// Freezes, thaws, and remembers.
pub(crate) struct Responder {
    memory: Memory,
    worker: Worker,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    sender: mpsc::UnboundedSender<Outcome>,
    /// What is said of a container in the events that come later.
    told: HashMap<u64, Response>,
    withheld: HashSet<(u64, Rule)>,
    lost: HashMap<CountKey, u64>,
    /// The agent's own cgroup, where it could be found.
    own: Option<PathBuf>,
}

/// Why a container is not frozen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FreezeError {
    /// It must never be.
    #[error("{0}")]
    Withheld(String),
    /// The kernel says no.
    #[error("cannot write {path}")]
    Write {
        /// The control file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Responder {
    /// Takes over what the agent before remembered, of containers that still stand still.
    pub(crate) fn open(
        state_directory: &Path,
        captures: PathBuf,
        keep: usize,
        own: Option<PathBuf>,
        workloads: &Workloads,
    ) -> Result<Self, MemoryError> {
        let mut memory = Memory::open(state_directory.join("frozen.json"))?;
        memory.keep_only(|remembered| {
            let listed = workloads.find(&remembered.path).ok();
            listed.is_some_and(|listed| {
                listed.cgroup == remembered.cgroup && state_of(&listed, workloads).is_asked()
            })
        })?;
        let (sender, outcomes) = mpsc::unbounded_channel();
        Ok(Self {
            worker: Worker::start(captures, keep, sender.clone()),
            memory,
            outcomes,
            sender,
            told: HashMap::new(),
            withheld: HashSet::new(),
            lost: HashMap::new(),
            own,
        })
    }

    /// The next thing that came back.
    pub(crate) async fn outcome(&mut self) -> Option<Outcome> {
        self.outcomes.recv().await
    }

    /// How many captures are kept, from now on.
    pub(crate) fn keep_captures(&self, keep: usize) {
        self.worker.keep(keep);
    }

    /// What this container is doing, and since when and why if it was frozen here.
    pub(crate) fn state(
        &self,
        listed: &Listed<'_>,
        workloads: &Workloads,
    ) -> (State, Option<&Remembered>) {
        (state_of(listed, workloads), self.memory.get(listed.cgroup))
    }

    /// The containers that were frozen here, by tenant.
    pub(crate) fn frozen_by_tenant<'a>(&self, workloads: &'a Workloads) -> BTreeMap<&'a str, i64> {
        let mut totals = BTreeMap::new();
        for listed in workloads.listed() {
            let frozen = i64::from(self.memory.get(listed.cgroup).is_some());
            *totals.entry(listed.workload.assignment.tenant.as_str()).or_default() += frozen;
        }
        totals
    }

    /// Freezes the container of an offence, unless it is frozen already. The events to tell.
    pub(crate) fn answer(
        &mut self,
        offence: &Offence,
        sequence: u64,
        workloads: &Workloads,
    ) -> Option<Response> {
        let rule = catalogue::info(offence.rule).id;
        let cause = Cause::Rule { rule, sequence, pid: Some(offence.pid) };
        let found = offence.container.and_then(|container| workloads.by_cgroup(container));
        let Some(listed) = found else {
            return self.withhold(
                offence.container.unwrap_or(offence.cgroup),
                offence.rule,
                Response {
                    message: Some(Text::new(
                        "nobody has named this container (or it is gone): it is not frozen, because \
                         it could be one of the system's",
                    )),
                    ..response(Action::FreezeWithheld, offence.cgroup, cause)
                },
            );
        };
        self.freeze_for(&listed, offence.rule, cause, Some(offence.pid), offence.time, workloads)
    }

    /// What was lost before this agent began has been answered by the one before, as far as it
    /// could: a container that was thawed since is not frozen for it again.
    pub(crate) fn take_as_answered(&mut self, counts: &[(CountKey, u64)]) {
        self.lost = counts.iter().filter(|(key, _)| is_lost(key)).copied().collect();
    }

    /// Verdicts whose records found no room: the counts tell whose they were.
    pub(crate) fn answer_lost(
        &mut self,
        counts: &[(CountKey, u64)],
        workloads: &Workloads,
    ) -> Vec<Response> {
        let asks = |key: &CountKey| key.verdict == Verdict::Freeze as u8 && is_lost(key);
        let mut new = HashMap::new();
        let mut told = Vec::new();
        for (key, count) in counts.iter().filter(|(key, _)| asks(key)) {
            let before = self.lost.get(key).copied().unwrap_or(0);
            new.insert(*key, *count);
            let (Some(rule), true) = (Rule::from_u16(key.rule), *count > before) else { continue };
            let Some(listed) = workloads.by_cgroup(key.container) else { continue };
            let cause = Cause::Rule { rule: catalogue::info(rule).id, sequence: 0, pid: None };
            told.extend(self.freeze_for(&listed, rule, cause, None, Timestamp::now(), workloads));
        }
        self.lost = new;
        told
    }

    /// Freezes a container for somebody who asked. Why is on the disk before that is answered.
    pub(crate) fn freeze(
        &mut self,
        listed: &Listed<'_>,
        cause: Cause,
        workloads: &Workloads,
    ) -> Result<(), FreezeError> {
        self.begin(listed, cause, None, Timestamp::now(), workloads)?;
        self.memory.save_or_tell();
        Ok(())
    }

    /// Lets a container go on. The event to tell.
    pub(crate) fn thaw(
        &mut self,
        listed: &Listed<'_>,
        cause: Cause,
        workloads: &Workloads,
    ) -> Result<Response, FreezeError> {
        write(listed, workloads, false)?;
        self.forget(listed.cgroup);
        self.withheld.retain(|(cgroup, _)| *cgroup != listed.cgroup);
        Ok(about(Action::Thaw, listed, cause))
    }

    /// The event for what came back.
    pub(crate) fn tell(&mut self, outcome: Outcome) -> Option<Response> {
        match outcome {
            Outcome::Confirmed { cgroup, still, took } => {
                // Only now: the disk must not stand between an act and its freeze.
                self.memory.save_or_tell();
                let told = self.told.get(&cgroup)?.clone();
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                let late = || Text::new("its processes do not all stand still yet");
                Some(Response {
                    took_micros: still.then_some(micros),
                    message: (!still).then(late),
                    ..told
                })
            }
            Outcome::Captured { cgroup, result } => {
                let told = self.told.get(&cgroup)?.clone();
                Some(match result {
                    Ok(file) => {
                        let severity = severity_of(Action::Capture);
                        Response { action: Action::Capture, severity, capture: Some(file), ..told }
                    }
                    Err(error) => Response {
                        action: Action::Failed,
                        message: Some(Text::new(format!("no capture was written: {error}"))),
                        ..told
                    },
                })
            }
        }
    }

    /// Notices containers that are gone, or that somebody else has thawed.
    pub(crate) fn look(&mut self, workloads: &Workloads) -> Vec<Response> {
        let mut told = Vec::new();
        for cgroup in self.memory.cgroups() {
            match workloads.by_cgroup(cgroup) {
                None => self.forget(cgroup),
                Some(listed) if !state_of(&listed, workloads).is_asked() => {
                    self.forget(cgroup);
                    told.push(Response {
                        severity: Severity::High,
                        message: Some(Text::new("it goes on, and nobody asked the agent for that")),
                        ..about(Action::Thaw, &listed, Cause::Somebody)
                    });
                }
                Some(_) => {}
            }
        }
        told
    }

    fn freeze_for(
        &mut self,
        listed: &Listed<'_>,
        rule: Rule,
        cause: Cause,
        pid: Option<u32>,
        since: Timestamp,
        workloads: &Workloads,
    ) -> Option<Response> {
        if self.memory.get(listed.cgroup).is_some() {
            return None;
        }
        match self.begin(listed, cause.clone(), pid, since, workloads) {
            Ok(()) => None,
            Err(error) => {
                let told = failed(listed, cause, &error);
                self.withhold(listed.cgroup, rule, told)
            }
        }
    }

    /// Tells of a freeze that must not be, once for each container and rule.
    fn withhold(&mut self, cgroup: u64, rule: Rule, told: Response) -> Option<Response> {
        if self.withheld.len() >= MAX_WITHHELD {
            self.withheld.clear();
        }
        self.withheld.insert((cgroup, rule)).then_some(told)
    }

    fn begin(
        &mut self,
        listed: &Listed<'_>,
        cause: Cause,
        pid: Option<u32>,
        since: Timestamp,
        workloads: &Workloads,
    ) -> Result<(), FreezeError> {
        self.check(listed, workloads)?;
        write(listed, workloads, true)?;
        let told = about(Action::Freeze, listed, cause);
        let job = Job::new(listed, workloads, &told, pid);
        self.told.insert(listed.cgroup, told.clone());
        self.memory.add(Remembered::new(listed, &told.cause));
        let (directory, sender) = (freezer::directory(listed, workloads), self.sender.clone());
        let (cgroup, worker) = (listed.cgroup, self.worker.clone());
        drop(tokio::spawn(async move {
            let still = freezer::await_still(&directory, PATIENCE).await;
            let took = Duration::try_from(Timestamp::now().duration_since(since));
            // The receiver ends with the agent.
            let _ended =
                sender.send(Outcome::Confirmed { cgroup, still, took: took.unwrap_or_default() });
            if let Err(refused) = worker.write(job) {
                let _ended = sender.send(Outcome::Captured { cgroup, result: Err(refused) });
            }
        }));
        Ok(())
    }

    /// Ends a container, so that whoever runs it makes it anew.
    pub(crate) fn evict(
        &self,
        listed: &Listed<'_>,
        workloads: &Workloads,
    ) -> Result<(), FreezeError> {
        self.check(listed, workloads)?;
        if let Some(namespace) =
            namespace_of(listed).filter(|name| SYSTEM_NAMESPACES.contains(name))
        {
            let why = format!("a cluster does not live without namespace {namespace}");
            return Err(FreezeError::Withheld(why));
        }
        let directory = freezer::directory(listed, workloads);
        freezer::kill(&directory, listed.cgroup)
            .map_err(|source| FreezeError::Write { path: directory.join(freezer::KILL), source })
    }

    /// Whether it may be frozen at all.
    fn check(&self, listed: &Listed<'_>, workloads: &Workloads) -> Result<(), FreezeError> {
        let withheld = |why: String| Err(FreezeError::Withheld(why));
        let Some(own) = &self.own else {
            return withheld("the agent does not know its own cgroup, and freezes none".to_owned());
        };
        if own.starts_with(listed.path) {
            return withheld("the agent itself runs in this container".to_owned());
        }
        let namespace = namespace_of(listed);
        if !workloads.policy().may_freeze(namespace) {
            let namespace = namespace.unwrap_or_default();
            return withheld(format!(
                "containers of namespace {namespace} are never frozen (`response.neverFreeze`)"
            ));
        }
        Ok(())
    }

    fn forget(&mut self, cgroup: u64) {
        self.memory.remove(cgroup);
        self.told.remove(&cgroup);
    }
}

fn namespace_of<'a>(listed: &Listed<'a>) -> Option<&'a str> {
    listed.pod.and_then(|pod| pod.namespace.as_ref()).map(Text::as_str)
}

fn state_of(listed: &Listed<'_>, workloads: &Workloads) -> State {
    freezer::state(&freezer::directory(listed, workloads))
}

fn write(listed: &Listed<'_>, workloads: &Workloads, freeze: bool) -> Result<(), FreezeError> {
    let directory = freezer::directory(listed, workloads);
    freezer::write(&directory, listed.cgroup, freeze)
        .map_err(|source| FreezeError::Write { path: directory.join(freezer::CONTROL), source })
}
