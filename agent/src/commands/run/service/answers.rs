//! What the agent answers to questions that come over the control socket.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bulkhead_policy::{catalogue::Severity, event::Text};
use serde::Serialize;

use super::{Service, responses::AskedError};
use crate::{
    control::{
        Answer, ContainerView, FrozenView, LimitView, Peer, PodView, Question, Refusal, Request,
        TenantView, Tenants,
    },
    enforce::HeldFile,
    node::vantage::Vantage,
    respond::FreezeError,
    workloads::{Announcement, Listed},
};

/// Refused askers are told in the log once in this time; a tenant must not write it full.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Characters of a reason that are kept.
const MAX_REASON: usize = 1_000;

/// Who may ask, and who was refused.
#[derive(Debug)]
pub(super) struct Door {
    /// `None`: it could not be found out, and nobody can be placed.
    vantage: Option<Vantage>,
    told: Option<Instant>,
    untold: u64,
}

impl Door {
    pub(super) fn new(vantage: Option<Vantage>) -> Self {
        Self { vantage, told: None, untold: 0 }
    }
}

impl Service {
    /// Answers one question.
    pub(super) fn answer(&mut self, question: Question) {
        let Question { request, peer, answer } = question;
        let answered = self.admit(&peer).and_then(|()| self.answer_to(request, &peer));
        // Whoever asked may have stopped waiting.
        drop(answer.send(answered));
    }

    fn answer_to(&mut self, request: Request, peer: &Peer) -> Answer {
        match request {
            Request::Tenants {} => document(&self.tenants()),
            Request::Container { id } => {
                let found = self.workloads.find(&id);
                let listed = found.map_err(|error| Refusal::NotFound(error.to_string()))?;
                let mut view = self.container_view(&listed);
                if let Some(said) = self.announced(&listed) {
                    view.labels.clone_from(&said.labels);
                    view.annotations.clone_from(&said.annotations);
                }
                document(&view)
            }
            Request::Refused(call) => {
                self.tell_refused_call(*call);
                document(&serde_json::json!({}))
            }
            Request::Freeze { id, reason } => {
                let reason: Option<String> =
                    reason.map(|reason| reason.chars().take(MAX_REASON).collect());
                let frozen = self.freeze(&id, reason.as_deref(), peer);
                self.answer_about(frozen)
            }
            Request::Thaw { id } => {
                let thawed = self.thaw(&id, peer);
                self.answer_about(thawed)
            }
        }
    }

    fn answer_about(&self, done: Result<u64, AskedError>) -> Answer {
        let cgroup = done.map_err(|error| match &error {
            AskedError::NoSuch(_) => Refusal::NotFound(error.to_string()),
            AskedError::Freeze(FreezeError::Withheld(why)) => Refusal::Bad(why.clone()),
            AskedError::Freeze(FreezeError::Write { source, .. }) => {
                Refusal::Failed(format!("{error}: {source}"))
            }
        })?;
        let gone = || Refusal::NotFound("the container is gone".to_owned());
        document(&self.container_view(&self.workloads.by_cgroup(cgroup).ok_or_else(gone)?))
    }

    /// Whether this process may ask. What a tenant's process tries is told in the log.
    fn admit(&mut self, peer: &Peer) -> Result<(), Refusal> {
        if !peer.is_root() {
            return Err(Refusal::Forbidden("only root of the node may ask the agent".to_owned()));
        }
        let forbidden = |why: &str| Refusal::Forbidden(why.to_owned());
        let Some(vantage) = &self.door.vantage else {
            return Err(forbidden("the agent cannot see which cgroup this process is in"));
        };
        let path = vantage.resolve(&peer.cgroup);
        let path = path.ok_or_else(|| forbidden("this process's cgroup is not visible"))?;
        if path.starts_with(vantage.own()) && vantage.own() != std::path::Path::new("/") {
            return Ok(());
        }
        let cgroup = self.workloads.tree().id(&path);
        let cgroup = cgroup.map_err(|_gone| forbidden("this process's cgroup is gone"))?;
        if self.guard.identity(cgroup).is_none_or(|identity| identity.is_host()) {
            return Ok(());
        }
        let whose = match self.workloads.around(&path) {
            Some(listed) => format!("tenant {}", listed.workload.assignment.tenant),
            None => "a container that nobody has named yet".to_owned(),
        };
        self.tell_refused(peer, &path.display().to_string(), &whose);
        Err(forbidden("a process of a container may not ask the agent"))
    }

    fn tell_refused(&mut self, peer: &Peer, path: &str, whose: &str) {
        if self.door.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            self.door.untold += 1;
            return;
        }
        let before = std::mem::take(&mut self.door.untold);
        self.door.told = Some(Instant::now());
        let message = format!(
            "process {} ({}) of {whose}, in cgroup {}, asked the agent and was refused; {before} \
             more were refused before it without a line of their own",
            peer.pid,
            Text::new(&peer.comm).as_str(),
            Text::new(path).as_str(),
        );
        self.notice("intruder", Severity::High, &message);
    }

    fn tenants(&self) -> Tenants {
        let mut tenants = BTreeMap::new();
        for tenant in self.workloads.policy().tenants() {
            let (name, level) = (tenant.name().to_owned(), tenant.level().name().to_owned());
            let view = TenantView {
                name: name.clone(),
                level,
                named: true,
                exceptions: self.exceptions_of(tenant),
                containers: Vec::new(),
            };
            tenants.insert(name, view);
        }
        for listed in self.workloads.listed() {
            let assignment = &listed.workload.assignment;
            let tenant = tenants.entry(assignment.tenant.clone()).or_insert_with(|| TenantView {
                name: assignment.tenant.clone(),
                level: assignment.level.clone(),
                named: assignment.named,
                exceptions: Vec::new(),
                containers: Vec::new(),
            });
            tenant.containers.push(self.container_view(&listed));
        }
        Tenants { tenants: tenants.into_values().collect(), unnamed: self.workloads.unattributed() }
    }

    /// What the runtime has told of a container.
    fn announced(&self, listed: &Listed<'_>) -> Option<Arc<Announcement>> {
        self.workloads.announced().get(listed.container.id.as_ref()?.as_str())
    }

    fn container_view(&self, listed: &Listed<'_>) -> ContainerView {
        let assignment = &listed.workload.assignment;
        let (state, frozen) = self.responder.state(listed, &self.workloads);
        ContainerView {
            id: plain(&listed.container.id),
            name: plain(&listed.container.name),
            runtime: plain(&listed.container.runtime),
            tenant: assignment.tenant.clone(),
            level: assignment.level.clone(),
            exception: assignment.exception.clone(),
            pod: listed.pod.map(|pod| PodView {
                namespace: plain(&pod.namespace),
                name: plain(&pod.name),
                uid: plain(&pod.uid),
            }),
            cgroup: Some(Text::new(listed.path).as_str().to_owned()),
            cgroup_id: listed.cgroup,
            state: state.as_str().to_owned(),
            frozen: frozen
                .map(|frozen| FrozenView { since: frozen.since.clone(), why: frozen.why.clone() }),
            controls: self.verification.view(listed.cgroup),
            capabilities_asked: self.verification.capabilities_asked(listed.path),
            user_ids: self.verification.user_ids(listed.cgroup),
            image: self.announced(listed).and_then(|it| it.image.clone()),
            limits: self.hardening.held(listed.cgroup).iter().map(limit_view).collect(),
            ..ContainerView::default()
        }
    }
}

fn limit_view(held: &HeldFile) -> LimitView {
    LimitView {
        file: held.file.clone(),
        desired: held.desired.clone(),
        effective: held.effective.clone(),
        state: held.state.as_str().to_owned(),
    }
}

fn plain(text: &Option<Text>) -> Option<String> {
    text.as_ref().map(|text| text.as_str().to_owned())
}

fn document(view: &impl Serialize) -> Answer {
    serde_json::to_value(view).map_err(|error| Refusal::Failed(error.to_string()))
}
