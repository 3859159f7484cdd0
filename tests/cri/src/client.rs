//! The connection to the container runtime, and the calls that several verbs make.

use std::path::Path;

use anyhow::{Context, Result, bail};
use tonic::transport::{Channel, Endpoint};

use crate::cri::image_service_client::ImageServiceClient;
use crate::cri::runtime_service_client::RuntimeServiceClient;
use crate::cri::{
    Container, ContainerStatusRequest, ContainerStatusResponse, ListContainersRequest,
    ListPodSandboxRequest, PodSandbox,
};

/// The two services of one runtime.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) runtime: RuntimeServiceClient<Channel>,
    pub(crate) images: ImageServiceClient<Channel>,
}

impl Client {
    /// Prepares a connection; the first call opens it.
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let address = format!("unix://{}", socket.display());
        let channel = Endpoint::from_shared(address)
            .with_context(|| format!("{} is no socket's path", socket.display()))?
            .connect_lazy();
        Ok(Self {
            runtime: RuntimeServiceClient::new(channel.clone()),
            images: ImageServiceClient::new(channel),
        })
    }

    /// All pods.
    pub(crate) async fn pods(&mut self) -> Result<Vec<PodSandbox>> {
        let answer = self.runtime.list_pod_sandbox(ListPodSandboxRequest {}).await;
        Ok(answer.context("cannot list the pods")?.into_inner().items)
    }

    /// All containers, the ended ones too.
    pub(crate) async fn containers(&mut self) -> Result<Vec<Container>> {
        let answer = self.runtime.list_containers(ListContainersRequest {}).await;
        Ok(answer.context("cannot list the containers")?.into_inner().containers)
    }

    /// The one container whose id begins so.
    pub(crate) async fn container(&mut self, beginning: &str) -> Result<Container> {
        let mut found = self.containers().await?;
        found.retain(|container| container.id.starts_with(beginning));
        one(found, "container", beginning)
    }

    /// The one pod whose sandbox's id begins so.
    pub(crate) async fn pod(&mut self, beginning: &str) -> Result<PodSandbox> {
        let mut found = self.pods().await?;
        found.retain(|pod| pod.id.starts_with(beginning));
        one(found, "pod", beginning)
    }

    /// A container's state, with what the runtime adds to it.
    pub(crate) async fn status(&mut self, id: &str) -> Result<ContainerStatusResponse> {
        let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: true };
        let answer = self.runtime.container_status(request).await;
        Ok(answer.with_context(|| format!("cannot ask for the state of {id}"))?.into_inner())
    }
}

fn one<T>(mut found: Vec<T>, what: &str, beginning: &str) -> Result<T> {
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => bail!("no {what} has an id that begins with `{beginning}`"),
        (Some(_), others) => bail!("{} {what}s have ids that begin with `{beginning}`", others + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ambiguous_or_unknown_beginning_is_refused() {
        assert_eq!(one(vec![1], "pod", "ab").unwrap(), 1);
        assert!(one(vec![1, 2], "pod", "ab").unwrap_err().to_string().starts_with("2 pods"));
        assert!(one(Vec::<i32>::new(), "pod", "ab").unwrap_err().to_string().contains("`ab`"));
    }
}
