//! What a plugin answers.

use std::{future::Future, time::Duration};

use crate::{
    NriVersion,
    api::{Container, ContainerAdjustment, ContainerUpdate, LinuxResources, PodSandbox},
};

/// The runtime at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// `containerd` or `cri-o`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Its version of NRI.
    pub nri: NriVersion,
    /// How long it waits for an answer before it goes on without the plugin.
    pub timeout: Duration,
}

/// A call that the runtime has made, for measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// What runs already.
    Synchronize,
    /// A container is to be made.
    Create,
    /// A container is to be started.
    Start,
    /// A container's resources are to be changed.
    Update,
    /// All plugins' adjustments together are to be judged.
    Validate,
    /// Something happened; the answer is empty.
    Other,
}

impl Call {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synchronize => "synchronize",
            Self::Create => "create",
            Self::Start => "start",
            Self::Update => "update",
            Self::Validate => "validate",
            Self::Other => "other",
        }
    }
}

/// Why a call is answered with an error, which makes what was asked for fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// A plugin. The runtime waits for each answer, and so does every container of the node.
pub trait Plugin {
    /// A runtime has been found.
    fn configured(&mut self, runtime: &Runtime);

    /// What runs already. The answer changes its resources.
    fn synchronize(
        &mut self,
        pods: Vec<PodSandbox>,
        containers: Vec<Container>,
    ) -> Vec<ContainerUpdate>;

    /// A container is to be made.
    fn create(
        &mut self,
        pod: PodSandbox,
        container: Container,
    ) -> Result<ContainerAdjustment, Refusal>;

    /// A container that has been made is to be started: its first instruction comes after the
    /// answer.
    fn start(&mut self, pod: PodSandbox, container: Container) -> impl Future<Output = ()>;

    /// A container's resources are to be changed to these; the answer are those it gets instead.
    fn update(
        &mut self,
        pod: PodSandbox,
        container: Container,
        resources: LinuxResources,
    ) -> Result<Option<LinuxResources>, Refusal>;

    /// All plugins' adjustments of a container together.
    fn validate(
        &mut self,
        pod: PodSandbox,
        container: Container,
        adjustment: ContainerAdjustment,
    ) -> Result<(), Refusal>;

    /// A container is gone.
    fn removed(&mut self, container: Container);

    /// A call has been answered after this time.
    fn answered(&mut self, call: Call, took: Duration, refused: bool);

    /// The runtime is gone.
    fn disconnected(&mut self, why: &str);
}
