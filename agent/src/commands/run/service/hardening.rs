//! The loop's side of hardening: the runtime's plugin and the thread that holds limits.

use std::{collections::HashMap, sync::Arc};

use bulkhead_policy::{
    Policy, Settings, catalogue::Severity, event::Text, limits::Limits, policy::SYSTEM_NAMESPACES,
};

use super::Service;
use crate::{
    enforce::{self, Enforcer, HeldFile, Report, Snapshot, Subject},
    node,
    report::metrics::Metrics,
    runtime::{Runtime, Standing, Word},
    workloads::{Listed, Workloads},
};

/// The containers are looked at every so many ticks.
const EVERY: u32 = 2;

/// Where limits remember what was there before them, in the state directory.
const MEMORY: &str = "limits.json";

/// What hardens containers.
pub(super) struct Hardening {
    /// `None`: it could not be started, which was told.
    enforcer: Option<Enforcer>,
    /// `None`: the configuration does not want it, or it could not be started.
    runtime: Option<Runtime>,
    standing: Standing,
    held: HashMap<u64, Vec<HeldFile>>,
    ticks: u32,
}

/// What one of the threads says.
pub(super) enum Heard {
    /// The runtime's plugin.
    Word(Word),
    /// The thread that holds limits.
    Report(Report),
}

impl Hardening {
    pub(super) fn start(
        settings: &Settings,
        workloads: &Workloads,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let configuration = &settings.configuration;
        let memory = configuration.state_directory.join(MEMORY);
        let enforcer = Enforcer::start(workloads.tree().clone(), memory, node::boot_id()?)?;
        let standing = Standing { policy: Arc::new(settings.policy.clone()), asks: Vec::new() };
        let runtime = configuration.nri.enabled.then(|| {
            Runtime::start(
                configuration.nri.socket.clone(),
                standing.clone(),
                workloads.announced().clone(),
                Arc::clone(metrics),
                workloads.tree().mount().to_owned(),
            )
        });
        Ok(Self {
            enforcer: Some(enforcer),
            runtime: runtime.transpose()?,
            standing,
            held: HashMap::new(),
            ticks: 0,
        })
    }

    /// The next thing that one of the threads says.
    pub(super) async fn heard(&mut self) -> Heard {
        let word = async {
            match &mut self.runtime {
                Some(runtime) => runtime.words.recv().await,
                None => None,
            }
        };
        let report = async {
            match &mut self.enforcer {
                Some(enforcer) => enforcer.reports.recv().await,
                None => None,
            }
        };
        tokio::select! {
            Some(word) = word => Heard::Word(word),
            Some(report) = report => Heard::Report(report),
            else => std::future::pending().await,
        }
    }

    /// A container's limits, as they were found last.
    pub(super) fn held(&self, cgroup: u64) -> &[HeldFile] {
        self.held.get(&cgroup).map(Vec::as_slice).unwrap_or_default()
    }

    fn publish(&self) {
        if let Some(runtime) = &self.runtime {
            runtime.standing.send_replace(Arc::new(self.standing.clone()));
        }
    }
}

impl Service {
    /// Ends a container that lacks what its level requires, which says so.
    pub(super) fn evict(&mut self, cgroup: u64, lacks: &str) {
        let Some(listed) = self.workloads.by_cgroup(cgroup) else { return };
        let tenant = &listed.workload.assignment.tenant;
        let of = format!("container {} of tenant {tenant}, which lacks {lacks}", listed.path);
        let message = match self.responder.evict(&listed, &self.workloads) {
            Ok(()) => format!("ended {of}: whoever runs it makes it anew"),
            Err(error) => format!("cannot end {of}: {:#}", anyhow::Error::new(error)),
        };
        self.notice("evicted", Severity::High, &message);
    }

    /// Takes what a thread says.
    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Word(Word::Name { path, answer }) => {
                self.survive(Self::take_lifecycle);
                if let Err(error) = self.workloads.name_now(&path, &mut self.guard) {
                    tracing::warn!(path, %error, "a container that starts cannot be named");
                    return;
                }
                if answer.send(()).is_err() {
                    tracing::warn!(path, "the runtime did not wait for a container's name");
                }
                self.look_at_limits(true);
            }
            Heard::Word(Word::Notice { severity, message }) => {
                self.notice("runtime", severity, &message);
            }
            Heard::Report(report) => self.take_report(report),
        }
    }

    fn take_report(&mut self, report: Report) {
        for (subject, severity, message) in &report.notices {
            self.notice(subject, *severity, message);
        }
        for (tenant, file) in &report.drifts {
            self.metrics.drifted(tenant, file);
        }
        for stall in &report.stalls {
            self.metrics.stalled(stall);
        }
        self.metrics.enforcement.set_limits(enforce::count(&report.held));
        self.hardening.held = report.held.into_iter().collect();
        if self.hardening.standing.asks != report.asks {
            self.hardening.standing.asks = report.asks;
            self.hardening.publish();
        }
    }

    /// A policy has come into force.
    pub(super) fn harden_by(&mut self, policy: Policy) {
        self.hardening.standing.policy = Arc::new(policy);
        self.hardening.publish();
        self.look_at_limits(true);
    }

    /// Called on every tick.
    pub(super) fn harden(&mut self) {
        self.hardening.ticks = self.hardening.ticks.wrapping_add(1);
        if self.hardening.ticks.is_multiple_of(EVERY) {
            self.look_at_limits(false);
        }
    }

    fn look_at_limits(&mut self, hurry: bool) {
        let policy = &self.hardening.standing.policy;
        let sums = policy.tenants().iter().filter(|tenant| !tenant.limits().is_empty());
        let snapshot = Snapshot {
            subjects: self
                .workloads
                .listed()
                .iter()
                .filter(|it| !is_sandbox(it))
                .map(|it| self.subject(policy, it))
                .collect(),
            sums: sums.map(|tenant| (tenant.name().to_owned(), tenant.limits())).collect(),
            hurry,
        };
        if let Some(enforcer) = &self.hardening.enforcer
            && !enforcer.look_at(snapshot)
        {
            tracing::debug!("limits are still being looked at");
        }
    }

    fn subject(&self, policy: &Policy, listed: &Listed<'_>) -> Subject {
        let assignment = &listed.workload.assignment;
        let namespace = listed.pod.and_then(|pod| pod.namespace.as_ref()).map(Text::as_str);
        let system = !assignment.named
            && namespace.is_some_and(|namespace| SYSTEM_NAMESPACES.contains(&namespace));
        let limits =
            if system { Limits::default() } else { policy.level_of(assignment).limits().clone() };
        let id = listed.container.id.as_ref().map(Text::as_str);
        let announced = id.and_then(|id| self.workloads.announced().get(id));
        Subject {
            cgroup: listed.cgroup,
            path: listed.path.to_owned(),
            name: name_of(listed),
            tenant: assignment.tenant.clone(),
            limits: Arc::new(limits),
            asked: announced.as_ref().and_then(|it| it.asked.clone()),
            found: announced.map(|it| it.found.clone()).unwrap_or_default(),
        }
    }
}

/// The container that keeps a pod's namespaces: it runs nothing of the tenant's. CRI-O calls it POD,
/// containerd gives it no name.
fn is_sandbox(listed: &Listed<'_>) -> bool {
    let name = listed.container.name.as_ref().map(Text::as_str);
    listed.pod.is_some() && name.is_none_or(|name| name == "POD")
}

fn name_of(listed: &Listed<'_>) -> String {
    let pod = listed.pod.and_then(|pod| pod.name.as_ref());
    let container = listed.container.name.as_ref().or(listed.container.id.as_ref());
    match (pod, container) {
        (Some(pod), Some(container)) => format!("{}/{}", pod.as_str(), container.as_str()),
        (None, Some(container)) => container.as_str().to_owned(),
        _ => listed.path.to_owned(),
    }
}
