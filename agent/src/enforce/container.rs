//! All limiting files of one container.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::{Duration, Instant},
};

use bulkhead_policy::{
    catalogue::Severity,
    limits::{File, Plan, Setting},
};

use super::{
    cgroup::{Cgroup, FileError},
    hold::{Hold, Known, Outcome},
};

/// So many loosenings within [`WINDOW`] are a contest.
const CONTEST: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// In a contest the agent writes only so often: two that fight over a file help nobody.
const PAUSE: Duration = Duration::from_secs(30);

/// How a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// It holds what it should, or less.
    Held,
    /// More is used than may be: it is tightened when less is.
    Waiting,
    /// Something keeps loosening it.
    Contested,
    /// The kernel has no such file here.
    Unavailable,
    /// It could not be read or written.
    Failed,
}

impl State {
    /// Every state.
    pub(crate) const ALL: [Self; 5] =
        [Self::Held, Self::Waiting, Self::Contested, Self::Unavailable, Self::Failed];

    /// The word in metrics and views.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Contested => "contested",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }
}

/// One file of a container, as others are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldFile {
    /// Its name.
    pub(crate) file: String,
    /// What its level and its part of its tenant's sum allow.
    pub(crate) desired: String,
    /// What it holds.
    pub(crate) effective: String,
    /// How it stands.
    pub(crate) state: State,
}

/// Something to tell of a container.
pub(super) type Told = (Severity, String);

/// What is remembered of a container while the agent runs.
#[derive(Debug, Default)]
pub(super) struct Container {
    /// By file; kept across restarts.
    pub(super) known: BTreeMap<File, Known>,
    /// What files held that the runtime has tightened since; until the first look.
    found: Plan,
    drifts: BTreeMap<File, Drifts>,
    told: BTreeSet<(File, State)>,
    /// What systemd has on record of it, as far as the agent has told.
    recorded: BTreeMap<File, Setting>,
}

#[derive(Debug, Default)]
struct Drifts {
    recent: VecDeque<Instant>,
    written: Option<Instant>,
}

impl Drifts {
    fn contested(&self) -> bool {
        self.recent.len() >= CONTEST
    }

    fn forget_old(&mut self, now: Instant) {
        // Once in a contest, what ends it is that nothing happens for as long.
        let begins = now.checked_sub(if self.contested() { WINDOW * 2 } else { WINDOW });
        while self.recent.front().is_some_and(|at| begins.is_some_and(|begins| *at < begins)) {
            self.recent.pop_front();
        }
    }

    fn may_write(&self, now: Instant) -> bool {
        !self.contested() || self.written.is_none_or(|at| now.duration_since(at) >= PAUSE)
    }

    fn happened(&mut self, now: Instant, written: bool) {
        if self.recent.len() >= CONTEST {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if written {
            self.written = Some(now);
        }
    }
}

/// What a look at a container came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) files: Vec<HeldFile>,
    pub(super) told: Vec<Told>,
    /// Files that were found loosened.
    pub(super) drifted: Vec<String>,
    /// What systemd is to be told, where it made the cgroup.
    pub(super) to_record: Vec<(File, Setting)>,
}

impl Container {
    pub(super) fn remembering(known: BTreeMap<File, Known>, found: Plan) -> Self {
        Self { known, found, ..Self::default() }
    }

    /// What a file held before it was tightened.
    pub(super) fn before(&self, file: &File) -> Option<&Setting> {
        self.known.get(file).map(|known| &known.original).or_else(|| self.found.get(file))
    }

    /// Holds the container to `plan`.
    pub(super) fn look(
        &mut self,
        cgroup: &Cgroup,
        plan: &Plan,
        asked: Option<&Plan>,
        now: Instant,
    ) -> Looked {
        let mut looked = Looked::default();
        let mut plan = plan.clone();
        let mut waiting = None;
        if let Some(used) = self.above(cgroup, &plan, asked) {
            // Taking it at once would kill: slow it down until less is used.
            let bound = plan.remove(&File::MemoryMax).and_then(|max| max.amount());
            let high = plan.get(&File::MemoryHigh).and_then(Setting::amount);
            let most = [bound, high].into_iter().flatten().min();
            plan.insert(File::MemoryHigh, Setting::Amount(most));
            waiting = bound.map(|bound| (bound, used));
        }
        let files: BTreeSet<File> = plan.keys().chain(self.known.keys()).cloned().collect();
        let mut tightened = Vec::new();
        let found = mem::take(&mut self.found);
        for file in files {
            if waiting.is_some() && file == File::MemoryMax {
                continue;
            }
            let bound = plan.get(&file);
            let asked = asked.map(|asked| asked.get(&file).cloned().unwrap_or_else(|| file.open()));
            let first = found.get(&file).filter(|_| !self.known.contains_key(&file));
            let asked = asked.or_else(|| first.cloned());
            let outcome = self.hold(cgroup, &file, bound, asked, now);
            self.record(&file, &outcome, &mut looked);
            self.note(&file, bound, outcome, &mut looked, &mut tightened);
            if bound.is_none() {
                self.known.remove(&file);
            }
        }
        if let Some((bound, used)) = waiting {
            self.note_waiting(cgroup, bound, used, &mut looked);
        }
        // Where the runtime asked before, what it had not set yet is no news.
        if !tightened.is_empty() && asked.is_none() {
            let message =
                format!("it ran with more than its level allows: {}", tightened.join(", "));
            looked.told.push((Severity::Low, message));
        }
        looked
    }

    /// systemd knows what it was told.
    pub(super) fn recorded(&mut self, settings: impl IntoIterator<Item = (File, Setting)>) {
        self.recorded.extend(settings);
    }

    /// What the agent has had a file hold and systemd does not know, or has perhaps just undone.
    fn record(&mut self, file: &File, outcome: &Result<Outcome, FileError>, looked: &mut Looked) {
        if let Ok(Outcome::Drifted { .. }) = outcome {
            self.recorded.remove(file);
        }
        let ours = self.known.get(file).filter(|known| known.ours).map(|known| &known.wished);
        if let Some(wished) = ours.filter(|wished| self.recorded.get(file) != Some(*wished)) {
            looked.to_record.push((file.clone(), wished.clone()));
        }
    }

    /// The memory in use, where it is more than the container may have from now on.
    fn above(&self, cgroup: &Cgroup, plan: &Plan, asked: Option<&Plan>) -> Option<u64> {
        let bound = plan.get(&File::MemoryMax)?;
        let wished = asked.and_then(|asked| asked.get(&File::MemoryMax)).unwrap_or(bound);
        let wished = wished.tighter(bound).amount()?;
        let current = cgroup.read(&File::MemoryMax).ok()??;
        let used: u64 = cgroup.text("memory.current").ok()??.trim().parse().ok()?;
        (current.amount().is_none_or(|current| current > wished) && used > wished).then_some(used)
    }

    fn hold(
        &mut self,
        cgroup: &Cgroup,
        file: &File,
        bound: Option<&Setting>,
        asked: Option<Setting>,
        now: Instant,
    ) -> Result<Outcome, FileError> {
        let drifts = self.drifts.entry(file.clone()).or_default();
        drifts.forget_old(now);
        let may_repeat = drifts.may_write(now);
        let mut known = self.known.remove(file);
        let outcome = Hold { cgroup, file, bound, asked, may_repeat }.apply(&mut known);
        if let Some(known) = known {
            self.known.insert(file.clone(), known);
        }
        if let Ok(Outcome::Drifted { again, .. }) = &outcome {
            drifts.happened(now, *again);
        }
        outcome
    }

    fn note(
        &mut self,
        file: &File,
        bound: Option<&Setting>,
        outcome: Result<Outcome, FileError>,
        looked: &mut Looked,
        tightened: &mut Vec<String>,
    ) {
        let contested = self.drifts.get(file).is_some_and(Drifts::contested);
        let last = self.known.get(file).map(|known| &known.last);
        let mut effective = last.map(one_line).unwrap_or_default();
        let name = file.name();
        let state = match outcome {
            Ok(Outcome::Held | Outcome::Loosened) if contested => State::Contested,
            Ok(Outcome::Held | Outcome::Loosened) => State::Held,
            Ok(Outcome::Tightened { from }) => {
                let from = one_line(&from);
                tightened.push(format!("{name} held {from} and holds {effective} now"));
                State::Held
            }
            Ok(Outcome::Drifted { from, again }) => {
                looked.drifted.push(name.clone());
                let from = one_line(&from);
                if again && !contested {
                    let message =
                        format!("{name} was loosened to {from}; it holds {effective} again");
                    looked.told.push((Severity::Medium, message));
                }
                if !again {
                    effective = from;
                }
                if contested { State::Contested } else { State::Held }
            }
            Ok(Outcome::Missing) => State::Unavailable,
            Err(error) => {
                effective = error.to_string();
                State::Failed
            }
        };
        let Some(bound) = bound else { return };
        self.tell_once(file, state, &effective, looked);
        let desired = one_line(bound);
        looked.files.push(HeldFile { file: name, desired, effective, state });
    }

    fn tell_once(&mut self, file: &File, state: State, effective: &str, looked: &mut Looked) {
        self.told.retain(|(told, before)| told != file || *before == state);
        if !self.told.insert((file.clone(), state)) {
            return;
        }
        let name = file.name();
        let told = match state {
            State::Held | State::Waiting => return,
            State::Contested => (
                Severity::High,
                format!(
                    "{name} is contested: something has loosened it {CONTEST} times within a minute; \
                     it is tightened again only every {} s from now on",
                    PAUSE.as_secs()
                ),
            ),
            State::Unavailable => (
                Severity::Medium,
                format!("{name} cannot be held: this node has not switched its controller on here"),
            ),
            State::Failed => (Severity::High, format!("a limit cannot be held: {effective}")),
        };
        looked.told.push(told);
    }

    fn note_waiting(&mut self, cgroup: &Cgroup, bound: u64, used: u64, looked: &mut Looked) {
        let effective = match cgroup.read(&File::MemoryMax) {
            Ok(Some(setting)) => setting.to_string(),
            Ok(None) => String::new(),
            Err(error) => error.to_string(),
        };
        if self.told.insert((File::MemoryMax, State::Waiting)) {
            let message = format!(
                "memory.max of {bound} is below the {used} bytes in use, and would kill: it is slowed \
                 down by memory.high until less is used"
            );
            looked.told.push((Severity::Medium, message));
        }
        looked.files.push(HeldFile {
            file: File::MemoryMax.name(),
            desired: bound.to_string(),
            effective,
            state: State::Waiting,
        });
    }
}

/// A setting for people to read; rates have a line a device.
fn one_line(setting: &Setting) -> String {
    setting.lines().join("; ")
}

#[cfg(test)]
mod tests;
