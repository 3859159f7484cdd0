//! A container runtime in this process, for tests: as strict as the real ones where they are.
//!
//! What it enforces was read from the runtimes' sources and is met by real containerd in the guest:
//! the buffer of 4,096 bytes, the queue of 256 frames, event bits that a version does not know,
//! events as `StateChange` up to NRI 0.11, two seconds for an answer after which the plugin is closed
//! and the container made without it, and what becomes of an adjustment.

mod adjust;
mod buffer;
mod fed;

use std::{io, path::Path, time::Duration};

use prost::Message as _;
use tokio::{
    net::{UnixListener, UnixStream},
    time::timeout,
};

pub use self::adjust::adjusted;
use self::buffer::{Buffered, Queue};
pub use self::fed::{Fed, feed};
use crate::{
    NriVersion,
    api::{self, Event},
    message::{Body, Message, good},
    trunk::{self, PLUGIN, RUNTIME},
    wire,
};

/// Which runtime to play.
#[derive(Clone, Debug)]
pub struct Persona {
    /// Its name.
    pub name: &'static str,
    /// Its own version.
    pub version: &'static str,
    /// Its version of NRI.
    pub nri: NriVersion,
    /// How long it waits for an answer.
    pub timeout: Duration,
}

impl Persona {
    /// containerd of this version with this minor version of NRI 0.
    pub const fn containerd(version: &'static str, nri: u32) -> Self {
        let nri = NriVersion::new(0, nri);
        Self { name: "containerd", version, nri, timeout: Duration::from_secs(2) }
    }
}

/// Why the runtime gave the plugin up, or a call failed.
#[derive(Debug, thiserror::Error)]
pub enum DoubleError {
    /// The plugin was closed: what was asked for goes on without it.
    #[error("the plugin was closed: {0}")]
    Closed(String),
    /// The plugin answered with an error: what was asked for fails.
    #[error("the plugin refused: {0}")]
    Refused(String),
}

fn closed(why: impl std::fmt::Display) -> DoubleError {
    DoubleError::Closed(why.to_string())
}

/// A runtime that listens.
#[derive(Debug)]
pub struct Double {
    listener: UnixListener,
    persona: Persona,
}

impl Double {
    /// Listens at `path`, where an older socket is removed as runtimes do.
    pub fn listen(path: &Path, persona: Persona) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { listener: UnixListener::bind(path)?, persona })
    }

    /// Waits for a plugin and takes it through registration and configuration.
    pub async fn accept(&self) -> Result<Connected, DoubleError> {
        let (stream, _) = self.listener.accept().await.map_err(closed)?;
        let mut connected = Connected {
            trunk: stream,
            persona: self.persona.clone(),
            calls: Queue::default(),
            answers: Queue::default(),
            stream: 1,
            events: 0,
            plugin: String::new(),
        };
        connected.register().await?;
        connected.configure().await?;
        Ok(connected)
    }

    /// Waits for a plugin and gives its raw socket, for tests that misbehave.
    pub async fn accept_raw(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// A registered plugin, as its runtime has it.
#[derive(Debug)]
pub struct Connected {
    trunk: UnixStream,
    persona: Persona,
    /// What the plugin sent on the runtime's connection.
    calls: Queue,
    /// What it sent on its own.
    answers: Queue,
    stream: u32,
    events: i32,
    plugin: String,
}

impl Connected {
    /// `index-name`.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Whether the plugin has subscribed to an event.
    pub fn subscribed(&self, event: Event) -> bool {
        self.events & crate::version::bit(event) != 0
    }

    async fn register(&mut self) -> Result<(), DoubleError> {
        let message = self.message_on(RUNTIME).await?;
        let Body::Request(request) = message.body else { return Err(closed("not a request")) };
        if message.stream % 2 != 1 {
            return Err(closed("streams of clients are odd"));
        }
        if request.method != "RegisterPlugin" {
            return Err(closed(format!("{} before the registration", request.method)));
        }
        let request = api::RegisterPluginRequest::decode(&*request.payload).map_err(closed)?;
        let index = request.plugin_idx.as_bytes();
        if index.len() != 2 || !index.iter().all(u8::is_ascii_digit) {
            return Err(closed("the index is not two digits"));
        }
        self.plugin = format!("{}-{}", request.plugin_idx, request.plugin_name);
        let body = Body::Response(good(&api::Empty {}));
        self.send(RUNTIME, Message { stream: message.stream, body }).await
    }

    async fn configure(&mut self) -> Result<(), DoubleError> {
        let nri = self.persona.nri;
        let told = nri >= NriVersion::new(0, 12);
        let timeout = i64::try_from(self.persona.timeout.as_millis()).map_err(closed)?;
        let request = api::ConfigureRequest {
            runtime_name: self.persona.name.to_owned(),
            runtime_version: self.persona.version.to_owned(),
            registration_timeout: if nri >= NriVersion::new(0, 7) { 5_000 } else { 0 },
            request_timeout: if nri >= NriVersion::new(0, 7) { timeout } else { 0 },
            nri_version: if told { format!("v{}.{}.0", nri.major, nri.minor) } else { "".into() },
            ..Default::default()
        };
        let response: api::ConfigureResponse = self.call("Configure", &request).await?;
        let known = if nri.validates() { (1 << 14) - 1 } else { (1 << 11) - 1 };
        let extra = response.events & !known;
        if extra != 0 {
            return Err(closed(format!("invalid plugin events: {extra:#x}")));
        }
        self.events = if response.events == 0 { known } else { response.events };
        Ok(())
    }

    /// Tells what runs already, in messages of at most `most` pods and as many containers.
    pub async fn synchronize(
        &mut self,
        mut pods: Vec<api::PodSandbox>,
        mut containers: Vec<api::Container>,
        most: usize,
    ) -> Result<Vec<api::ContainerUpdate>, DoubleError> {
        loop {
            let later_pods = pods.split_off(pods.len().min(most));
            let later_containers = containers.split_off(containers.len().min(most));
            let more = !later_pods.is_empty() || !later_containers.is_empty();
            let request = api::SynchronizeRequest { pods, containers, more };
            let response: api::SynchronizeResponse = self.call("Synchronize", &request).await?;
            if !more {
                return Ok(response.update);
            }
            if !response.update.is_empty() || !response.more {
                return Err(closed("plugin does not handle split sync requests"));
            }
            (pods, containers) = (later_pods, later_containers);
        }
    }

    /// Has a container adjusted. `None`: the plugin was too slow or is gone, and the container is
    /// made without it.
    pub async fn create(
        &mut self,
        pod: &api::PodSandbox,
        container: &api::Container,
    ) -> Result<Option<api::ContainerAdjustment>, DoubleError> {
        let request = api::CreateContainerRequest {
            pod: Some(pod.clone()),
            container: Some(container.clone()),
        };
        match self.call::<_, api::CreateContainerResponse>("CreateContainer", &request).await {
            Ok(response) => Ok(response.adjust),
            Err(DoubleError::Closed(_)) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Has an update of a container's resources adjusted.
    pub async fn update(
        &mut self,
        pod: &api::PodSandbox,
        container: &api::Container,
        resources: &api::LinuxResources,
    ) -> Result<Vec<api::ContainerUpdate>, DoubleError> {
        let request = api::UpdateContainerRequest {
            pod: Some(pod.clone()),
            container: Some(container.clone()),
            linux_resources: Some(resources.clone()),
        };
        let response: api::UpdateContainerResponse = self.call("UpdateContainer", &request).await?;
        Ok(response.update)
    }

    /// Asks whether an adjustment is acceptable. `None`: yes.
    pub async fn validate(
        &mut self,
        pod: &api::PodSandbox,
        container: &api::Container,
        adjustment: &api::ContainerAdjustment,
    ) -> Result<Option<String>, DoubleError> {
        let request = api::ValidateContainerAdjustmentRequest {
            pod: Some(pod.clone()),
            container: Some(container.clone()),
            adjust: Some(adjustment.clone()),
            plugins: Vec::new(),
        };
        let response: api::ValidateContainerAdjustmentResponse =
            self.call("ValidateContainerAdjustment", &request).await?;
        Ok(response.reject.then_some(response.reason))
    }

    /// Tells an event in the form of this runtime's version.
    pub async fn happen(
        &mut self,
        event: Event,
        pod: &api::PodSandbox,
        container: &api::Container,
    ) -> Result<(), DoubleError> {
        if !self.subscribed(event) {
            return Ok(());
        }
        let (pod, container) = (Some(pod.clone()), Some(container.clone()));
        let occurrence = api::Occurrence { pod: pod.clone(), container: container.clone() };
        let own = match event {
            Event::StopContainer => Some("StopContainer"),
            Event::StartContainer => Some("StartContainer"),
            Event::RemoveContainer => Some("RemoveContainer"),
            _ => None,
        };
        let dedicated = self.persona.nri >= NriVersion::new(0, 12) || event == Event::StopContainer;
        match own.filter(|_| dedicated) {
            Some(method) => self.call::<_, api::Empty>(method, &occurrence).await?,
            None => {
                let change = api::StateChangeEvent { event: event.into(), pod, container };
                self.call::<_, api::Empty>("StateChange", &change).await?
            }
        };
        Ok(())
    }

    /// One call of the plugin, within the time that the runtime has for it.
    pub async fn call<Q: prost::Message, A: prost::Message + Default>(
        &mut self,
        method: &str,
        request: &Q,
    ) -> Result<A, DoubleError> {
        let stream = self.stream;
        self.stream += 2;
        let request = wire::Request {
            service: "nri.pkg.api.v1alpha1.Plugin".to_owned(),
            method: method.to_owned(),
            payload: request.encode_to_vec(),
            timeout_nano: i64::try_from(self.persona.timeout.as_nanos()).unwrap_or(i64::MAX),
        };
        self.send(PLUGIN, Message { stream, body: Body::Request(request) }).await?;
        let answer = timeout(self.persona.timeout, self.message_on(PLUGIN)).await;
        let answer = answer.map_err(|_elapsed| closed("deadline exceeded"))??;
        let Body::Response(response) = answer.body else { return Err(closed("not a response")) };
        if answer.stream != stream {
            return Err(closed("an answer to another call"));
        }
        match response.status {
            Some(status) if status.code != 0 => Err(DoubleError::Refused(status.message)),
            _ => A::decode(&*response.payload).map_err(closed),
        }
    }

    /// Messages of the runtime's library leave its writer in pieces of 4,096 bytes, or as one.
    async fn send(&mut self, connection: u32, message: Message) -> Result<(), DoubleError> {
        let bytes = message.encode().map_err(closed)?;
        trunk::write_message(&mut self.trunk, connection, &bytes).await.map_err(closed)
    }

    async fn message_on(&mut self, connection: u32) -> Result<Message, DoubleError> {
        let mut reader = Buffered { connected: self, connection };
        reader.message().await
    }
}
