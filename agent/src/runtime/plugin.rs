//! What the agent answers to the runtime.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bulkhead_nri::{
    Call, NriVersion, Plugin, Refusal, Runtime,
    api::{
        Container, ContainerAdjustment, ContainerState, ContainerUpdate, LinuxContainerAdjustment,
        LinuxContainerUpdate, LinuxResources, OptionalInt64, PodSandbox,
    },
};
use bulkhead_policy::{
    Assignment, Level, Policy, WorkloadFacts,
    catalogue::Severity,
    limits::{File, OnError, Plan, TenantLimits, Total, plan},
    policy::SYSTEM_NAMESPACES,
    workload::cgroup_of,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{NAMING, Standing, Word, resources, seccomp};
use crate::{
    report::metrics::Metrics,
    workloads::{Announced, Announcement, Bundle, NotAnnounced},
};

/// containerd's annotation with the image's name.
pub(super) const IMAGES: [&str; 2] =
    ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"];

/// The plugin.
pub(super) struct Agent {
    standing: watch::Receiver<Arc<Standing>>,
    announced: Announced,
    words: mpsc::Sender<Word>,
    metrics: Arc<Metrics>,
    /// Where cgroup v2 is mounted.
    cgroups: PathBuf,
    runtime: String,
    nri: NriVersion,
}

/// Why a container cannot be given what its level asks for.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Unannounced(#[from] NotAnnounced),
    #[error("its level's seccomp profile: {0}")]
    Profile(#[from] bulkhead_seccomp::ParseError),
    #[error("the runtime does not say where the container's cgroup will be (it says {0:?})")]
    Cgroup(String),
}

/// How a container is held.
struct Held<'a> {
    assignment: Assignment,
    level: &'a Level,
    sum: TenantLimits,
    /// Whether the cluster itself lives on it.
    system: bool,
}

impl<'a> Held<'a> {
    fn of(policy: &'a Policy, pod: &PodSandbox, container: &Container, cgroup: &str) -> Self {
        let assignment = policy.assign(&WorkloadFacts {
            namespace: Some(pod.namespace.as_str()).filter(|name| !name.is_empty()),
            pod: Some(&pod.name),
            container: Some(&container.name),
            // An exception changes no limit, and nothing else is read of the assignment here.
            image: None,
            cgroup_path: cgroup,
        });
        let tenant = policy.tenant(&assignment.tenant).filter(|_| assignment.named);
        let system = !assignment.named && SYSTEM_NAMESPACES.contains(&pod.namespace.as_str());
        Self {
            level: policy.level_of(&assignment),
            sum: tenant.map(|tenant| tenant.limits()).unwrap_or_default(),
            assignment,
            system,
        }
    }

    /// What its level allows, without a part of the tenant's sum.
    fn plan(&self) -> Plan {
        if self.system { Plan::new() } else { plan(self.level.limits(), Total::default(), &[]) }
    }

    fn plan_with_part(&self, standing: &Standing, asked: &Plan) -> Plan {
        let alone = self.plan();
        if self.system || self.sum.is_empty() {
            return alone;
        }
        let ask = resources::ask_of(asked, &alone);
        let part = standing.part(&self.assignment.tenant, self.sum, ask);
        plan(self.level.limits(), part, &[])
    }
}

impl Agent {
    pub(super) fn new(
        standing: watch::Receiver<Arc<Standing>>,
        announced: Announced,
        words: mpsc::Sender<Word>,
        metrics: Arc<Metrics>,
        cgroups: PathBuf,
    ) -> Self {
        let runtime = String::new();
        Self { standing, announced, words, metrics, cgroups, runtime, nri: NriVersion::new(0, 0) }
    }

    /// What the files of a cgroup that a plan names hold now; without those that cannot be read.
    fn read(&self, cgroup: &str, plan: &Plan) -> Plan {
        let directory = self.cgroups.join(cgroup.trim_start_matches('/'));
        let read = |file: &File| {
            let text = std::fs::read_to_string(directory.join(file.name())).ok()?;
            Some((file.clone(), file.parse(&text)?))
        };
        plan.keys().filter_map(read).collect()
    }

    fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing.borrow())
    }

    fn notice(&self, severity: Severity, message: String) {
        // The loop may be busy or have ended; the agent's own log has it then.
        if let Err(error) = self.words.try_send(Word::Notice { severity, message }) {
            let (mpsc::error::TrySendError::Full(word) | mpsc::error::TrySendError::Closed(word)) =
                error;
            if let Word::Notice { message, .. } = word {
                tracing::error!("{message}");
            }
        }
    }

    /// Makes a container known before it is there.
    fn announce(
        &self,
        pod: &PodSandbox,
        container: &Container,
        asked: Option<Plan>,
    ) -> Result<String, Trouble> {
        let said = container.linux.as_ref().map(|linux| linux.cgroups_path.as_str());
        let cgroup = said.and_then(cgroup_of);
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let image = IMAGES.iter().find_map(|key| container.annotations.get(*key)).cloned();
        self.announced.announce(
            &container.id,
            Announcement {
                bundle: Bundle {
                    namespace: text(&pod.namespace),
                    pod: text(&pod.name),
                    pod_uid: text(&pod.uid),
                    container: text(&container.name),
                    image: image.clone(),
                    runtime: text(&self.runtime),
                },
                cgroup: cgroup.clone(),
                labels: pod.labels.clone(),
                annotations: container.annotations.clone(),
                image,
                asked,
                found: Plan::new(),
            },
        )?;
        cgroup.ok_or_else(|| Trouble::Cgroup(said.unwrap_or_default().chars().take(200).collect()))
    }

    /// A container that cannot be given what its level asks for: refused where the level says so,
    /// made and told otherwise.
    fn fall(
        &self,
        pod: &PodSandbox,
        container: &Container,
        trouble: &Trouble,
    ) -> Result<(), Refusal> {
        let standing = self.standing();
        let held = Held::of(&standing.policy, pod, container, "");
        let name = format!("{}/{}/{}", pod.namespace, pod.name, container.name);
        let refuse = held.level.on_error() == OnError::Refuse && !held.system;
        self.metrics.enforcement.troubled(if refuse { "refused" } else { "admitted" });
        let outcome = if refuse { "was refused" } else { "is made without it" };
        let message = format!(
            "container {name} of tenant {} cannot be given what level {} asks for and {outcome}: \
             {trouble}",
            held.assignment.tenant,
            held.level.name(),
        );
        self.notice(Severity::High, message.clone());
        if refuse { Err(Refusal(format!("bulkhead: {message}"))) } else { Ok(()) }
    }
}

fn asked_by(container: &Container) -> Plan {
    let resources = container.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    resources.map(resources::asked).unwrap_or_default()
}

impl Plugin for Agent {
    fn configured(&mut self, runtime: &Runtime) {
        self.runtime = if runtime.name == "crio" { "cri-o".into() } else { runtime.name.clone() };
        self.nri = runtime.nri;
        self.metrics.enforcement.connected(true);
        tracing::info!(
            runtime = %runtime.name,
            version = %runtime.version,
            nri = format!("{}.{}", runtime.nri.major, runtime.nri.minor),
            "the runtime asks this agent before it makes a container"
        );
    }

    /// Names what runs, and tightens through the runtime what it can change without harm. Memory is
    /// left to the agent's own loop, which looks at what is used first.
    fn synchronize(
        &mut self,
        pods: Vec<PodSandbox>,
        containers: Vec<Container>,
    ) -> Vec<ContainerUpdate> {
        let standing = self.standing();
        let mut updates = Vec::new();
        for container in containers {
            let Some(pod) = pods.iter().find(|pod| pod.id == container.pod_sandbox_id) else {
                continue;
            };
            let cgroup = match self.announce(pod, &container, None) {
                Ok(cgroup) => cgroup,
                Err(trouble) => {
                    tracing::warn!(container = %container.id, "it runs and is not known: {trouble}");
                    continue;
                }
            };
            let held = Held::of(&standing.policy, pod, &container, &cgroup);
            let mut wanted = held.plan();
            wanted.retain(|file, _| resources::is_harmless(file));
            let running = matches!(
                container.state(),
                ContainerState::ContainerCreated | ContainerState::ContainerRunning
            );
            // By what the cgroup holds, not by the runtime's record: containerd 1.7 forgets what it
            // was told here, and would be told again after each restart of the agent.
            let held_now = self.read(&cgroup, &wanted);
            wanted.retain(|file, _| held_now.contains_key(file));
            if let Some(tightened) = resources::tightened(&held_now, &wanted).filter(|_| running) {
                // Before the answer: what the runtime writes next is not what the pod had.
                self.announced.find(&container.id, held_now);
                updates.push(ContainerUpdate {
                    container_id: container.id,
                    linux: Some(LinuxContainerUpdate { resources: Some(tightened) }),
                    ignore_failure: true,
                });
            }
        }
        tracing::info!(pods = pods.len(), tightened = updates.len(), "adopted what runs already");
        updates
    }

    fn create(
        &mut self,
        pod: PodSandbox,
        container: Container,
    ) -> Result<ContainerAdjustment, Refusal> {
        let asked = asked_by(&container);
        let cgroup = match self.announce(&pod, &container, Some(asked.clone())) {
            Ok(cgroup) => cgroup,
            Err(trouble) => {
                self.fall(&pod, &container, &trouble)?;
                String::new()
            }
        };
        let standing = self.standing();
        let held = Held::of(&standing.policy, &pod, &container, &cgroup);
        let plan = held.plan_with_part(&standing, &asked);
        let limits = held.level.limits();
        let score = container.linux.as_ref().and_then(|linux| linux.oom_score_adj);
        let score = limits.oom_score.filter(|least| {
            !held.system && self.nri.takes_oom_score() && score.is_none_or(|it| it.value < *least)
        });
        let seccomp_policy = match seccomp::policy_for(held.level, &container, self.nri) {
            Ok(policy) => policy.filter(|_| !held.system),
            Err(error) => {
                self.fall(&pod, &container, &error.into())?;
                None
            }
        };
        let linux = LinuxContainerAdjustment {
            resources: resources::tightened(&asked, &plan),
            oom_score_adj: score.map(|value| OptionalInt64 { value }),
            seccomp_policy,
        };
        let open_files = limits.open_files.filter(|_| !held.system);
        Ok(ContainerAdjustment {
            linux: Some(linux),
            rlimits: resources::rlimits(&container.rlimits, open_files),
        })
    }

    async fn start(&mut self, _pod: PodSandbox, container: Container) {
        let announced = self.announced.get(&container.id);
        let Some(path) = announced.and_then(|it| it.cgroup.clone()) else { return };
        let (answer, named) = oneshot::channel();
        let asked = self.words.try_send(Word::Name { path, answer }).is_ok();
        let named = asked && tokio::time::timeout(NAMING, named).await.is_ok_and(|it| it.is_ok());
        if !named {
            // Nothing is open meanwhile: without a name it is held to the strictest table.
            tracing::warn!(container = %container.id, "it is started before it has a name");
        }
    }

    fn update(
        &mut self,
        pod: PodSandbox,
        container: Container,
        resources: LinuxResources,
    ) -> Result<Option<LinuxResources>, Refusal> {
        let standing = self.standing();
        let announced = self.announced.get(&container.id);
        let cgroup = announced.as_ref().and_then(|it| it.cgroup.clone()).unwrap_or_default();
        let held = Held::of(&standing.policy, &pod, &container, &cgroup);
        let asked = resources::asked(&resources);
        self.announced.ask(&container.id, asked);
        Ok(Some(resources::clamped(resources, &held.plan())))
    }

    /// Another plugin may have loosened what this one tightened, and a plugin that was closed for
    /// being slow has tightened nothing: then the runtime cannot ask here either, and refuses.
    fn validate(
        &mut self,
        pod: PodSandbox,
        container: Container,
        adjustment: ContainerAdjustment,
    ) -> Result<(), Refusal> {
        let standing = self.standing();
        let announced = self.announced.get(&container.id);
        let cgroup = announced.as_ref().and_then(|it| it.cgroup.clone()).unwrap_or_default();
        let held = Held::of(&standing.policy, &pod, &container, &cgroup);
        if held.system || held.level.on_error() == OnError::Admit {
            return Ok(());
        }
        let adjusted = adjustment.linux.as_ref().and_then(|linux| linux.resources.as_ref());
        match resources::looser(&asked_by(&container), adjusted, &held.plan()) {
            None => Ok(()),
            Some(file) => {
                let message = format!(
                    "container {}/{}/{} would have a looser {file} than level {} allows: another \
                     plugin of the runtime sets it",
                    pod.namespace,
                    pod.name,
                    container.name,
                    held.level.name(),
                );
                self.metrics.enforcement.troubled("refused");
                self.notice(Severity::High, message.clone());
                Err(Refusal(format!("bulkhead: {message}")))
            }
        }
    }

    fn removed(&mut self, container: Container) {
        self.announced.forget(&container.id);
    }

    fn answered(&mut self, call: Call, took: Duration, _refused: bool) {
        self.metrics.enforcement.answered(call.as_str(), took);
    }

    fn disconnected(&mut self, why: &str) {
        self.metrics.enforcement.connected(false);
        let message = format!(
            "no container runtime asks this agent before it makes a container: {why}; limits are \
             written to the cgroups of running containers instead"
        );
        let severity = if self.runtime.is_empty() { Severity::Low } else { Severity::High };
        self.notice(severity, message);
    }
}
