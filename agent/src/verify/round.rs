//! What has changed since the last look.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem,
};

use bulkhead_abi::{Relation, Rule};
use bulkhead_policy::{
    Level,
    controls::Controls,
    verify::{
        self, Control, DeviceGuard, Devices, Effective, Finding, IdRange, Overlap, State, overlaps,
    },
};

use super::{look::Node, turns::Turns};

/// So many looks must agree before something is missing in a new container: the runtime's own set-up
/// has neither filter nor label yet, and takes seconds on a busy node.
const NEW_AGREE: u32 = 8;

/// A container that was found otherwise than it was known.
#[derive(Debug)]
struct Suspect {
    states: Vec<State>,
    /// Looks in a row that found the same.
    agreeing: u32,
}

/// A container to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// Its cgroup's id.
    pub(crate) id: u64,
    /// Its cgroup's path.
    pub(crate) path: &'a str,
    /// Its tenant.
    pub(crate) tenant: &'a str,
    /// Its level.
    pub(crate) level: &'a Level,
    /// The devices that its runtime has granted.
    pub(crate) granted: Devices,
    /// The controls that it must have been given.
    pub(crate) controls: Controls,
}

/// What is known of one container.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Every control.
    pub(crate) findings: Vec<Finding>,
    /// What was found.
    pub(crate) effective: Effective,
    tenant: String,
}

impl Report {
    /// The controls that are missing though the level requires them.
    pub(crate) fn drift(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.state == State::Drift)
    }
}

/// What a tick brought.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Controls that have come to be missing, or to be missing no longer: container and finding.
    pub(crate) controls: Vec<(u64, Finding)>,
    /// Containers of two tenants whose user ids have come to overlap.
    pub(crate) overlaps: Vec<Overlap<u64>>,
    /// Whether what [`Verifier::drift`] says may be another by now.
    pub(crate) drift: bool,
}

/// What the guard can refuse on this node, where a level says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardCan {
    /// Capabilities above the ceiling.
    pub(crate) refuse_capabilities: bool,
    /// Devices that the runtime did not grant.
    pub(crate) refuse_devices: bool,
}

/// Looks at the containers in turn.
pub(crate) struct Verifier {
    node: Node,
    guard: GuardCan,
    turns: Turns,
    reports: HashMap<u64, Report>,
    /// Found otherwise once: looked at again in the next tick, whosever turn it is.
    suspects: HashMap<u64, Suspect>,
    overlaps: Vec<Overlap<u64>>,
}

impl Verifier {
    /// Nothing is known yet.
    pub(crate) fn new(node: Node, guard: GuardCan) -> Self {
        Self {
            node,
            guard,
            turns: Turns::default(),
            reports: HashMap::new(),
            suspects: HashMap::new(),
            overlaps: Vec::new(),
        }
    }

    /// What is known of a container; `None` before its first look.
    pub(crate) fn report(&self, container: u64) -> Option<&Report> {
        self.reports.get(&container)
    }

    /// How many containers lack a control, by tenant and control.
    pub(crate) fn drift(&self) -> BTreeMap<(&str, Control), usize> {
        let mut totals = BTreeMap::new();
        for report in self.reports.values() {
            for finding in report.drift() {
                *totals.entry((report.tenant.as_str(), finding.control)).or_default() += 1;
            }
        }
        totals
    }

    /// Containers of two tenants whose user ids overlap, as of the last look.
    pub(crate) fn overlaps(&self) -> &[Overlap<u64>] {
        &self.overlaps
    }

    /// Looks at those whose turn it is.
    pub(crate) fn tick<'a>(&mut self, containers: impl Iterator<Item = Subject<'a>>) -> Changes {
        self.node.refresh();
        let containers: HashMap<u64, Subject<'_>> =
            containers.map(|subject| (subject.id, subject)).collect();
        let present: HashSet<u64> = containers.keys().copied().collect();
        let mut changes = Changes::default();
        // Nothing is waited for with these.
        let mut at_once: HashMap<u64, Subject<'_>> = containers.clone();
        at_once.retain(|id, _| !self.reports.contains_key(id) || self.suspects.contains_key(id));
        let mut turns = mem::take(&mut self.turns);
        turns.tick(&present, |id| {
            at_once.remove(&id);
            containers.get(&id).map_or(0, |subject| self.look(*subject, &mut changes))
        });
        self.turns = turns;
        for subject in at_once.into_values() {
            self.look(subject, &mut changes);
        }
        let known = self.reports.len();
        self.reports.retain(|id, _| present.contains(id));
        changes.drift |= self.reports.len() < known;
        self.suspects.retain(|id, _| present.contains(id));
        changes.overlaps = self.compare_ids();
        changes
    }

    /// Looks at one container, and says at how many processes that was.
    fn look(&mut self, subject: Subject<'_>, changes: &mut Changes) -> usize {
        let effective = match self.node.look(subject.path) {
            Ok(Some(effective)) => effective,
            Ok(None) => return 0,
            Err(error) => {
                tracing::warn!(
                    cgroup = subject.path,
                    %error,
                    "a container's controls cannot be verified"
                );
                return 0;
            }
        };
        let processes = effective.processes;
        let level = subject.level;
        let refuses = |rule| level.verdict(rule, Relation::None).refuses();
        let node = verify::Node {
            app_armor: self.node.has_app_armor(),
            guards_ceiling: self.guard.refuse_capabilities && refuses(Rule::CapabilityCeiling),
            devices: match (refuses(Rule::DeviceNotGranted), self.guard.refuse_devices) {
                (true, true) => DeviceGuard::Refuses,
                (true, false) => DeviceGuard::Unavailable,
                (false, _) => DeviceGuard::Tells,
            },
            granted: subject.granted,
        };
        let findings = verify::compare(subject.controls, level.ceiling(), &effective, node);
        let states: Vec<State> = findings.iter().map(|finding| finding.state).collect();
        let known = self.reports.get(&subject.id);
        let same = known.is_some_and(|report| {
            report.findings.iter().map(|finding| finding.state).eq(states.iter().copied())
        });
        let suspect = self.suspects.get(&subject.id).filter(|suspect| suspect.states == states);
        let agreeing = suspect.map_or(0, |suspect| suspect.agreeing) + 1;
        let confirmed = agreeing > if known.is_some() { 1 } else { NEW_AGREE };
        let looser = states.iter().any(|state| state.is_missing());
        if !same && !confirmed && (looser || known.is_some()) {
            self.suspects.insert(subject.id, Suspect { states, agreeing });
            return processes;
        }
        self.suspects.remove(&subject.id);
        for (at, finding) in findings.iter().enumerate() {
            let before = known.and_then(|report| report.findings.get(at)).map(|it| it.state);
            let was_missing = before.is_some_and(State::is_missing);
            if before != Some(finding.state) && (was_missing || finding.state.is_missing()) {
                changes.controls.push((subject.id, finding.clone()));
            }
        }
        changes.drift |= !same || known.is_some_and(|report| report.tenant != subject.tenant);
        let tenant = subject.tenant.to_owned();
        self.reports.insert(subject.id, Report { findings, effective, tenant });
        processes
    }

    /// Overlaps that were not there before.
    fn compare_ids(&mut self) -> Vec<Overlap<u64>> {
        let mut owned: Vec<(&str, u64, IdRange)> = Vec::new();
        for (id, report) in &self.reports {
            let ranges = report.effective.uids.iter();
            owned.extend(ranges.map(|range| (report.tenant.as_str(), *id, *range)));
        }
        let found = overlaps(&owned);
        let new = found.iter().filter(|it| !self.overlaps.contains(it)).cloned().collect();
        self.overlaps = found;
        new
    }
}
