//! One connection to a runtime.

use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::{
    NriVersion,
    api::{self, Event},
    message::{Assembly, Body, Message, MessageError, good, refusal, unknown_method},
    plugin::{Call, Plugin, Refusal, Runtime},
    trunk::{self, PLUGIN, RUNTIME, TrunkError},
    wire,
};

const PLUGIN_SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";
const RUNTIME_SERVICE: &str = "nri.pkg.api.v1alpha1.Runtime";
const REGISTER_STREAM: u32 = 1;

/// The runtime's own time for a registration; after it the runtime has given us up.
const REGISTRATION: Duration = Duration::from_secs(5);
/// The runtime's time for an answer where it does not tell.
const USUAL_TIMEOUT: i64 = 2_000;
/// Pods and containers that a runtime may tell of. Kubernetes runs some hundreds on a node.
const MAX_SYNCHRONIZED: usize = 20_000;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The socket cannot be reached.
    #[error("cannot reach the runtime's NRI socket")]
    Connect(#[source] std::io::Error),
    /// The trunk.
    #[error(transparent)]
    Trunk(#[from] TrunkError),
    /// What was sent through it.
    #[error("the runtime sent what is not NRI")]
    Garbage(#[from] MessageError),
    /// The runtime does not want the plugin.
    #[error("the runtime refused the plugin: {0}")]
    Refused(String),
    /// The runtime said nothing for too long.
    #[error("the runtime did not configure the plugin within {} s", REGISTRATION.as_secs())]
    Silent,
    /// An answer to something that was not asked.
    #[error("the runtime answered stream {0}, which nobody opened")]
    Answer(u32),
    /// More than a node can hold.
    #[error("the runtime told of more than {MAX_SYNCHRONIZED} pods and containers")]
    TooMany,
}

/// A session's state.
pub(crate) struct Session<'a, P, S> {
    plugin: &'a mut P,
    socket: S,
    configured: bool,
    pods: Vec<api::PodSandbox>,
    containers: Vec<api::Container>,
}

impl<'a, P: Plugin, S: AsyncRead + AsyncWrite + Unpin> Session<'a, P, S> {
    pub(crate) fn new(plugin: &'a mut P, socket: S) -> Self {
        Self { plugin, socket, configured: false, pods: Vec::new(), containers: Vec::new() }
    }

    /// Registers, then answers until the connection ends, which is always an error.
    pub(crate) async fn run(
        mut self,
        name: &str,
        index: &str,
    ) -> Result<std::convert::Infallible, SessionError> {
        self.register(name, index).await?;
        let mut calls = Assembly::default();
        let mut answers = Assembly::default();
        let begun = Instant::now();
        loop {
            let frame = trunk::read_frame(&mut self.socket);
            let (connection, payload) = if self.configured {
                frame.await?
            } else {
                let left = REGISTRATION.saturating_sub(begun.elapsed());
                timeout(left, frame).await.map_err(|_elapsed| SessionError::Silent)??
            };
            if connection == PLUGIN {
                calls.add(&payload);
                while let Some(message) = calls.next()? {
                    self.take_call(message).await?;
                }
            } else {
                answers.add(&payload);
                while let Some(message) = answers.next()? {
                    take_answer(message)?;
                }
            }
        }
    }

    async fn register(&mut self, name: &str, index: &str) -> Result<(), SessionError> {
        let request = api::RegisterPluginRequest {
            plugin_name: name.to_owned(),
            plugin_idx: index.to_owned(),
        };
        let request = wire::Request {
            service: RUNTIME_SERVICE.to_owned(),
            method: "RegisterPlugin".to_owned(),
            payload: request.encode_to_vec(),
            timeout_nano: i64::try_from(REGISTRATION.as_nanos()).unwrap_or(i64::MAX),
        };
        let message = Message { stream: REGISTER_STREAM, body: Body::Request(request) };
        Ok(trunk::write_message(&mut self.socket, RUNTIME, &message.encode()?).await?)
    }

    async fn take_call(&mut self, message: Message) -> Result<(), SessionError> {
        let Body::Request(request) = message.body else {
            return Err(SessionError::Answer(message.stream));
        };
        let begun = Instant::now();
        let (call, response) = self.answer(&request).await?;
        let refused = response.status.is_some();
        self.plugin.answered(call, begun.elapsed(), refused);
        let response = Message { stream: message.stream, body: Body::Response(response) };
        let bytes = match response.encode() {
            Ok(bytes) => bytes,
            // An answer that does not fit is a refusal that does.
            Err(error) => {
                let body = Body::Response(refusal(error.to_string()));
                Message { stream: message.stream, body }.encode()?
            }
        };
        Ok(trunk::write_message(&mut self.socket, PLUGIN, &bytes).await?)
    }

    async fn answer(
        &mut self,
        request: &wire::Request,
    ) -> Result<(Call, wire::Response), SessionError> {
        let payload = request.payload.as_slice();
        if request.service != PLUGIN_SERVICE {
            return Ok((Call::Other, unknown_method(&request.service, &request.method)));
        }
        Ok(match request.method.as_str() {
            "Configure" => (Call::Other, self.configure(read(payload)?)),
            "Synchronize" => (Call::Synchronize, self.synchronize(read(payload)?)?),
            "CreateContainer" => (Call::Create, self.create(read(payload)?)),
            "UpdateContainer" => (Call::Update, self.update(read(payload)?)),
            "ValidateContainerAdjustment" => (Call::Validate, self.validate(read(payload)?)),
            "StateChange" => {
                let change: api::StateChangeEvent = read(payload)?;
                let event = change.event();
                let (pod, container) = (change.pod, change.container);
                self.occurred(event, api::Occurrence { pod, container }).await
            }
            method => match event_of(method) {
                Some(event) => self.occurred(event, read(payload)?).await,
                None => (Call::Other, unknown_method(&request.service, method)),
            },
        })
    }

    fn configure(&mut self, request: api::ConfigureRequest) -> wire::Response {
        let nri = NriVersion::of(&request);
        let told =
            if request.request_timeout > 0 { request.request_timeout } else { USUAL_TIMEOUT };
        self.plugin.configured(&Runtime {
            name: request.runtime_name,
            version: request.runtime_version,
            nri,
            timeout: Duration::from_millis(told.unsigned_abs()),
        });
        self.configured = true;
        good(&api::ConfigureResponse { events: nri.events() })
    }

    /// Collects the parts; the last one is answered with what shall change.
    fn synchronize(
        &mut self,
        request: api::SynchronizeRequest,
    ) -> Result<wire::Response, SessionError> {
        self.pods.extend(request.pods);
        self.containers.extend(request.containers);
        if self.pods.len() + self.containers.len() > MAX_SYNCHRONIZED {
            return Err(SessionError::TooMany);
        }
        let update = if request.more {
            Vec::new()
        } else {
            let pods = std::mem::take(&mut self.pods);
            self.plugin.synchronize(pods, std::mem::take(&mut self.containers))
        };
        Ok(good(&api::SynchronizeResponse { update, more: request.more }))
    }

    fn create(&mut self, request: api::CreateContainerRequest) -> wire::Response {
        let (pod, container) =
            (request.pod.unwrap_or_default(), request.container.unwrap_or_default());
        match self.plugin.create(pod, container) {
            Ok(adjust) => {
                let update = Vec::new();
                good(&api::CreateContainerResponse { adjust: Some(adjust), update })
            }
            Err(Refusal(why)) => refusal(why),
        }
    }

    fn update(&mut self, request: api::UpdateContainerRequest) -> wire::Response {
        let (pod, container) =
            (request.pod.unwrap_or_default(), request.container.unwrap_or_default());
        let container_id = container.id.clone();
        match self.plugin.update(pod, container, request.linux_resources.unwrap_or_default()) {
            Ok(resources) => {
                let update = resources.map(|resources| api::ContainerUpdate {
                    container_id,
                    linux: Some(api::LinuxContainerUpdate { resources: Some(resources) }),
                    ignore_failure: false,
                });
                good(&api::UpdateContainerResponse { update: update.into_iter().collect() })
            }
            Err(Refusal(why)) => refusal(why),
        }
    }

    fn validate(&mut self, request: api::ValidateContainerAdjustmentRequest) -> wire::Response {
        let verdict = self.plugin.validate(
            request.pod.unwrap_or_default(),
            request.container.unwrap_or_default(),
            request.adjust.unwrap_or_default(),
        );
        let reason = verdict.err().map(|Refusal(why)| why);
        good(&api::ValidateContainerAdjustmentResponse {
            reject: reason.is_some(),
            reason: reason.unwrap_or_default(),
        })
    }

    async fn occurred(
        &mut self,
        event: Event,
        occurrence: api::Occurrence,
    ) -> (Call, wire::Response) {
        let pod = occurrence.pod.unwrap_or_default();
        let call = match (event, occurrence.container) {
            (Event::StartContainer, Some(container)) => {
                self.plugin.start(pod, container).await;
                Call::Start
            }
            (Event::RemoveContainer, Some(container)) => {
                self.plugin.removed(container);
                Call::Other
            }
            _ => Call::Other,
        };
        (call, good(&api::Empty {}))
    }
}

/// The event that has a call of this name: stop since ever, the others since NRI 0.10 and 0.12.
fn event_of(method: &str) -> Option<Event> {
    Some(match method {
        "RunPodSandbox" => Event::RunPodSandbox,
        "UpdatePodSandbox" => Event::UpdatePodSandbox,
        "PostUpdatePodSandbox" => Event::PostUpdatePodSandbox,
        "StopPodSandbox" => Event::StopPodSandbox,
        "RemovePodSandbox" => Event::RemovePodSandbox,
        "PostCreateContainer" => Event::PostCreateContainer,
        "StartContainer" => Event::StartContainer,
        "PostStartContainer" => Event::PostStartContainer,
        "PostUpdateContainer" => Event::PostUpdateContainer,
        "StopContainer" => Event::StopContainer,
        "RemoveContainer" => Event::RemoveContainer,
        "Shutdown" => Event::Unknown,
        _ => return None,
    })
}

fn read<T: prost::Message + Default>(payload: &[u8]) -> Result<T, MessageError> {
    Ok(T::decode(payload)?)
}

/// The one answer that the runtime owes: to the registration.
fn take_answer(message: Message) -> Result<(), SessionError> {
    match message.body {
        Body::Response(response) if message.stream == REGISTER_STREAM => match response.status {
            Some(status) if status.code != 0 => Err(SessionError::Refused(status.message)),
            _ => Ok(()),
        },
        _ => Err(SessionError::Answer(message.stream)),
    }
}
