//! What the answers look like: read by `--json`'s users, so that fields are added and never renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Every tenant that has a container, or is in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tenants {
    /// By name.
    pub(crate) tenants: Vec<TenantView>,
    /// Containers that nobody has named yet; they are held to the strictest table.
    pub(crate) unnamed: usize,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantView {
    /// Its name.
    pub(crate) name: String,
    /// Its level.
    pub(crate) level: String,
    /// Whether the configuration names it.
    pub(crate) named: bool,
    /// What single workloads of it may do although the level refuses it.
    #[serde(default)]
    pub(crate) exceptions: Vec<ExceptionView>,
    /// Its containers.
    pub(crate) containers: Vec<ContainerView>,
}

/// A declared exception.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExceptionView {
    /// Its name.
    pub(crate) name: String,
    /// Which containers it is for.
    pub(crate) workload: String,
    /// The rules that it loosens, with the relation where a rule has one.
    pub(crate) rules: Vec<String>,
    /// Why there is one.
    pub(crate) reason: String,
    /// The last day on which it holds, in UTC.
    pub(crate) until: Option<String>,
    /// Whether it holds today.
    pub(crate) in_force: bool,
    /// Containers on this node that it is for.
    pub(crate) containers: usize,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerView {
    /// The id that its runtime gave it.
    pub(crate) id: Option<String>,
    /// Its name.
    pub(crate) name: Option<String>,
    /// Its runtime.
    pub(crate) runtime: Option<String>,
    /// Its tenant.
    pub(crate) tenant: String,
    /// The level that it is held to.
    pub(crate) level: String,
    /// The exception of its tenant that is for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exception: Option<String>,
    /// Its pod.
    pub(crate) pod: Option<PodView>,
    /// Its cgroup, below the cgroup v2 mount.
    pub(crate) cgroup: Option<String>,
    /// Its cgroup's id.
    pub(crate) cgroup_id: u64,
    /// `running`, `freezing` (some process does not stand still yet), `frozen`, `unknown`.
    pub(crate) state: String,
    /// Since when and why it was frozen; absent where the agent did not do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) frozen: Option<FrozenView>,
    /// How its controls stand; empty before it has been looked at.
    #[serde(default)]
    pub(crate) controls: Vec<ControlView>,
    /// Capabilities above its ceiling that it has asked for since the agent began.
    #[serde(default)]
    pub(crate) capabilities_asked: Vec<String>,
    /// The node's user ids that are its own; empty without a user namespace.
    #[serde(default)]
    pub(crate) user_ids: Vec<String>,
    /// Its image, where the runtime has told.
    #[serde(default)]
    pub(crate) image: Option<String>,
    /// Its pod's labels, where the runtime has told. Only of one container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// Its annotations. Only of one container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// The files of its cgroup that limit it.
    #[serde(default)]
    pub(crate) limits: Vec<LimitView>,
}

/// One control of a container: what its level asks for against what is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ControlView {
    /// Which.
    pub(crate) control: String,
    /// `in-force`, `guarded`, `absent`, `unavailable` or `drift`.
    pub(crate) state: String,
    /// What the level asks for.
    pub(crate) desired: String,
    /// What was found.
    pub(crate) effective: String,
    /// What brings it back, where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

/// Why a container stands still.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FrozenView {
    /// When it was frozen.
    pub(crate) since: String,
    /// The rule, or what whoever asked said.
    pub(crate) why: String,
}

/// A file of a cgroup that limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitView {
    /// Its name.
    pub(crate) file: String,
    /// The most that the level and the tenant's part allow.
    pub(crate) desired: String,
    /// What it holds: less where the pod asked for less.
    pub(crate) effective: String,
    /// `held`, `waiting`, `contested`, `unavailable` or `failed`.
    pub(crate) state: String,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodView {
    /// Its Kubernetes namespace.
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: Option<String>,
    /// Its unique id.
    pub(crate) uid: Option<String>,
}
