//! Who a number stands for.

use serde::Serialize;

use super::Text;
use crate::lineage::{Entry, Image, ProcessKey};

/// What the agent knows about the numbers in a record. The whole of the workload table that an
/// event needs, so that recorded records can be replayed with names from anywhere.
pub trait Names {
    /// The tenant with this number.
    fn tenant(&self, number: u32) -> Option<&str>;
    /// The pod whose cgroup has this id.
    fn pod(&self, cgroup: u64) -> Option<&Pod>;
    /// The container whose cgroup has this id.
    fn container(&self, cgroup: u64) -> Option<&Container>;
    /// Whose this container's cgroup has turned out to be, where the record was made before
    /// anybody knew.
    fn owner(&self, _cgroup: u64) -> Option<Owner<'_>> {
        None
    }
    /// The program that a process of this container executed.
    fn image(&self, _container: u64, _process: ProcessKey) -> Option<&Image> {
        None
    }
    /// How a process came into this container.
    fn entry(&self, _container: u64, _process: ProcessKey) -> Option<Entry> {
        None
    }
}

/// Whose a container is.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// The pod, if it has one.
    pub pod: Option<&'a Pod>,
    /// The container.
    pub container: &'a Container,
}

/// A pod. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// Its Kubernetes namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// Its unique id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Text>,
}

/// A container. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    /// The id that its runtime gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// Its name in the pod, or the name its runtime knows it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The runtime: `containerd`, `crio`, `docker`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Text>,
    /// Its cgroup's path below the cgroup v2 mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Text>,
}

/// Knows nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Names for Nobody {
    fn tenant(&self, _number: u32) -> Option<&str> {
        None
    }

    fn pod(&self, _cgroup: u64) -> Option<&Pod> {
        None
    }

    fn container(&self, _cgroup: u64) -> Option<&Container> {
        None
    }
}
