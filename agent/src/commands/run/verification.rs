//! Looks at the containers' controls, and tells what has changed.

use std::collections::{HashMap, HashSet};

use bulkhead_policy::{
    capability::Capabilities,
    catalogue::Severity,
    controls::{Controls, OnDrift},
    event::{ControlChange, Event, Kind, Notice, Text},
    verify::Overlap,
};
use jiff::Timestamp;

use crate::{
    control::ControlView,
    report::metrics::Metrics,
    verify::{GuardCan, Node, Report, Subject, Verifier, VerifyError},
    workloads::{Listed, Workloads},
};

/// What is known of the containers' controls.
#[derive(Default)]
pub(super) struct Verification {
    /// `None` where this node cannot be looked at.
    verifier: Option<Verifier>,
    /// Capabilities above the ceiling that containers have asked for since the agent began, by
    /// cgroup path.
    asked: HashMap<String, Capabilities>,
    /// Containers that were to be ended, so that each is once.
    evicted: HashSet<u64>,
}

/// What came of a look.
#[derive(Default)]
pub(super) struct Outcome {
    /// What is to be told.
    pub(super) events: Vec<Event>,
    /// Containers that lack a required control at a level that ends them for it, and what they lack. Each is
    /// named once.
    pub(super) evictable: Vec<(u64, String)>,
}

impl Verification {
    /// Begins. Returns why no control can be verified on this node, as evidence.
    pub(super) fn start(
        &mut self,
        workloads: &Workloads,
        guard: GuardCan,
        node: &str,
    ) -> Option<Event> {
        match Node::new(workloads.tree().clone()) {
            Ok(node) => {
                self.verifier = Some(Verifier::new(node, guard));
                None
            }
            Err(error) => Some(unable(&error, node)),
        }
    }

    /// Looks at a part of the containers and returns what is to be told and done.
    pub(super) fn tick(&mut self, workloads: &Workloads, metrics: &Metrics, node: &str) -> Outcome {
        let listed = workloads.listed();
        self.asked.retain(|path, _| listed.iter().any(|it| it.path == path));
        let Some(verifier) = &mut self.verifier else { return Outcome::default() };
        let by_id: HashMap<u64, &Listed<'_>> = listed.iter().map(|it| (it.cgroup, it)).collect();
        self.evicted.retain(|id| by_id.contains_key(id));
        let changes = verifier.tick(listed.iter().map(|it| subject(it, workloads)));
        if changes.drift {
            let drift = verifier.drift().into_iter();
            let drift = drift.map(|((tenant, control), count)| (tenant, control.as_str(), count));
            metrics.set_drift(drift);
        }
        metrics.set_overlaps(verifier.overlaps().len());
        let event = |kind| Event::new(Timestamp::now(), node, kind);
        let mut events = Vec::new();
        for (id, finding) in &changes.controls {
            if let Some(listed) = by_id.get(id) {
                let assignment = &listed.workload.assignment;
                let (tenant, level) = (&assignment.tenant, &assignment.level);
                let change =
                    ControlChange::new(finding, tenant, level, listed.pod, listed.container);
                tracing::info!("{change}");
                events.push(event(Kind::Control(Box::new(change))));
            }
        }
        let overlaps = changes.overlaps.iter();
        events.extend(overlaps.map(|overlap| event(Kind::Notice(notice(overlap, &by_id)))));
        let mut evictable = Vec::new();
        for it in &listed {
            let lacks = lacks_and_is_evicted_for(it, workloads, verifier);
            if !lacks.is_empty() && self.evicted.insert(it.cgroup) {
                evictable.push((it.cgroup, lacks.join(", ")));
            }
        }
        Outcome { events, evictable }
    }

    /// A container has used a capability above its level's ceiling, or tried to.
    pub(super) fn asked(&mut self, event: &Event) {
        if let Kind::Act(act) = &event.kind
            && let Some((container, capability)) = act.capability_above_ceiling()
        {
            let asked = self.asked.entry(container.to_owned()).or_insert(Capabilities::NONE);
            *asked = asked.with(capability);
        }
    }

    /// How the controls of a container stand; empty before its first look.
    pub(super) fn view(&self, container: u64) -> Vec<ControlView> {
        let report = self.verifier.as_ref().and_then(|verifier| verifier.report(container));
        let findings = report.into_iter().flat_map(|report| &report.findings);
        findings
            .map(|finding| ControlView {
                control: finding.control.as_str().to_owned(),
                state: finding.state.as_str().to_owned(),
                desired: finding.desired.clone(),
                effective: Text::new(&finding.effective).as_str().to_owned(),
                remedy: finding.state.is_missing().then(|| finding.control.remedy().to_owned()),
            })
            .collect()
    }

    /// The capabilities above its ceiling that a container has asked for.
    pub(super) fn capabilities_asked(&self, path: &str) -> Vec<String> {
        self.asked.get(path).map_or_else(Vec::new, |asked| asked.names().collect())
    }

    /// The user ids of the node that a container has for its own.
    pub(super) fn user_ids(&self, container: u64) -> Vec<String> {
        let report = self.verifier.as_ref().and_then(|verifier| verifier.report(container));
        let ranges = report.into_iter().flat_map(|report| &report.effective.uids);
        ranges.map(ToString::to_string).collect()
    }
}

/// The required controls that a container lacks, at a level that ends it for that.
fn lacks_and_is_evicted_for(
    listed: &Listed<'_>,
    workloads: &Workloads,
    verifier: &Verifier,
) -> Vec<&'static str> {
    if subject(listed, workloads).controls.on_drift != OnDrift::Evict {
        return Vec::new();
    }
    let drift = verifier.report(listed.cgroup).into_iter().flat_map(Report::drift);
    drift.map(|finding| finding.control.as_str()).collect()
}

fn subject<'a>(listed: &Listed<'a>, workloads: &'a Workloads) -> Subject<'a> {
    let assignment = &listed.workload.assignment;
    let level = workloads.policy().level_of(assignment);
    Subject {
        id: listed.cgroup,
        path: listed.path,
        tenant: &assignment.tenant,
        level,
        granted: listed.workload.devices,
        // The pod's sandbox runs the runtime's own program and none of the tenant's; what it is
        // given is not the pod's choice.
        controls: if is_sandbox(listed) { Controls::default() } else { level.controls() },
    }
}

/// A pod's container that has no name in it is its sandbox.
fn is_sandbox(listed: &Listed<'_>) -> bool {
    listed.pod.is_some() && listed.container.name.is_none()
}

fn notice(overlap: &Overlap<u64>, by_id: &HashMap<u64, &Listed<'_>>) -> Notice {
    let name = |id| match by_id.get(&id) {
        Some(listed) => format!("{} ({})", listed.workload.assignment.tenant, listed.path),
        None => format!("cgroup {id}"),
    };
    let message = format!(
        "{} and {} share the user ids {}-{} of the node: what one leaves the other can own. Give \
         each tenant ids of its own",
        name(overlap.one),
        name(overlap.other),
        overlap.first,
        overlap.last,
    );
    let message = Text::new(&message);
    tracing::warn!("{}", message.as_str());
    Notice { subject: "user-ids", severity: Severity::High, message }
}

fn unable(error: &VerifyError, node: &str) -> Event {
    let message = format!("controls cannot be verified on this node: {error}");
    tracing::error!("{message}");
    let message = Text::new(&message);
    let notice = Notice { subject: "verify", severity: Severity::High, message };
    Event::new(Timestamp::now(), node, Kind::Notice(notice))
}
