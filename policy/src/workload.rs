//! What a cgroup is, by its path from the cgroup v2 root.
//!
//! Paths are made by the runtimes, but a container may make any path below its own cgroup. So the
//! outermost container on the way down is the container, whatever stands below it.

pub use driver::cgroup_of;
use names::{Name, name, runtime_id};
pub use names::{SCOPE_NAMES, ScopeKind};

mod driver;
mod names;

/// Who made a container, as far as the path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// containerd, for Kubernetes.
    Containerd,
    /// CRI-O.
    CriO,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// nerdctl.
    Nerdctl,
    /// runc, called directly.
    Runc,
    /// crun, called directly.
    Crun,
    /// The path does not say: under the cgroupfs driver a container's cgroup is called by its id
    /// alone.
    Unknown,
}

impl Runtime {
    /// The word used in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Unknown => "unknown",
        }
    }
}

/// A container found on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<'a> {
    /// The container's own cgroup: the path itself or a beginning of it, by whole components.
    pub container_path: &'a str,
    /// The pod's cgroup, where there is a pod.
    pub pod_path: Option<&'a str>,
    /// Who made it.
    pub runtime: Runtime,
    /// The Kubernetes pod's uid, with its dashes. Podman's pods have none.
    pub pod_uid: Option<String>,
    /// The runtime's id of the container; `None` where the name holds what no runtime accepts as
    /// an id. Ids are made of letters, digits and `_.+-` and begin with a letter or digit, so that
    /// one can be a path component.
    pub container_id: Option<&'a str>,
}

/// What a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupKind<'a> {
    /// A container's cgroup, or one below it.
    Container(Located<'a>),
    /// A pod's cgroup: its children are containers.
    Pod {
        /// The Kubernetes pod's uid.
        uid: Option<String>,
    },
    /// A directory of pods or containers.
    Slice,
    /// The runtime's own process that watches over a container, or one below: not a workload.
    Monitor,
    /// Anything else: the node's own, or a container that its path does not tell (`ctr` and
    /// custom cgroup parents: the configuration names those).
    Other,
}

/// What the cgroup at `path` is. A path that is not absolute, or that leads through `..`, is
/// [`CgroupKind::Other`]: it lies outside the tree that the reader can see.
pub fn classify(path: &str) -> CgroupKind<'_> {
    let mut inside = Inside::Node;
    for (up_to, component) in beginnings(path) {
        if matches!(component, "" | "." | "..") {
            return CgroupKind::Other;
        }
        match inside.step(component, up_to) {
            Step::Into(next) => inside = next,
            Step::Monitor => return CgroupKind::Monitor,
            Step::Container(runtime, id) => {
                let (pod_path, pod_uid) = inside.pod();
                return CgroupKind::Container(Located {
                    container_path: up_to,
                    pod_path,
                    runtime,
                    pod_uid,
                    container_id: runtime_id(id),
                });
            }
        }
    }
    match inside {
        Inside::Node => CgroupKind::Other,
        Inside::Kubepods | Inside::DockerParent | Inside::PodmanParent => CgroupKind::Slice,
        Inside::Pod { uid, .. } => CgroupKind::Pod { uid },
        Inside::PodmanPod { .. } => CgroupKind::Pod { uid: None },
    }
}

/// The container that the cgroup at `path` is or lies in.
pub fn locate(path: &str) -> Option<Located<'_>> {
    match classify(path) {
        CgroupKind::Container(located) => Some(located),
        _ => None,
    }
}

/// Whether the cgroup at `path` is a directory of workloads, pods included: new cgroups in it are
/// new containers.
pub fn is_slice(path: &str) -> bool {
    matches!(classify(path), CgroupKind::Slice | CgroupKind::Pod { .. })
}

/// Each component of an absolute path, with the path up to its end. Nothing for any other path.
fn beginnings(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let relative = path.strip_prefix('/').filter(|relative| !relative.is_empty());
    let mut end = 0;
    relative.into_iter().flat_map(|relative| relative.split('/')).map(move |component| {
        end += 1 + component.len();
        (path.get(..end).unwrap_or(path), component)
    })
}

/// Where on the way down we are.
enum Inside<'a> {
    /// Among the node's own cgroups.
    Node,
    /// Below the kubelet's root for pods.
    Kubepods,
    /// In a Kubernetes pod.
    Pod { path: &'a str, uid: Option<String> },
    /// Below Docker's parent of the cgroupfs driver.
    DockerParent,
    /// Below Podman's parent of the cgroupfs driver.
    PodmanParent,
    /// In a pod of Podman.
    PodmanPod { path: &'a str },
}

enum Step<'a> {
    Into(Inside<'a>),
    Container(Runtime, &'a str),
    Monitor,
}

impl<'a> Inside<'a> {
    fn pod(self) -> (Option<&'a str>, Option<String>) {
        match self {
            Self::Pod { path, uid } => (Some(path), uid),
            Self::PodmanPod { path } => (Some(path), None),
            _ => (None, None),
        }
    }

    /// What `component`, which ends the path `up_to`, means here.
    fn step(&self, component: &'a str, up_to: &'a str) -> Step<'a> {
        match (name(component), self) {
            (Name::Monitor, _) => Step::Monitor,
            (Name::Scope(runtime, id), _) => Step::Container(runtime, id),
            // Without `.scope` a name counts only where the cgroupfs driver puts containers: on
            // the node itself `docker-proxy` may be anything.
            (Name::Bare(runtime, id), Self::Pod { .. }) => Step::Container(runtime, id),
            (Name::Bare(Runtime::Podman, id), Self::PodmanParent | Self::PodmanPod { .. }) => {
                Step::Container(Runtime::Podman, id)
            }
            (_, Self::Pod { .. }) => Step::Container(Runtime::Unknown, component),
            (_, Self::DockerParent) => Step::Container(Runtime::Docker, component),
            (_, Self::PodmanParent) if component == "conmon" => Step::Monitor,
            (_, Self::PodmanParent) => Step::Into(Self::PodmanPod { path: up_to }),
            (_, Self::PodmanPod { .. }) => Step::Container(Runtime::Podman, component),
            (Name::Pod(uid), Self::Kubepods) => {
                Step::Into(Self::Pod { path: up_to, uid: Some(uid) })
            }
            (_, Self::Kubepods) => Step::Into(Self::Kubepods),
            (Name::Kubepods, Self::Node) => Step::Into(Self::Kubepods),
            (Name::PodmanPod, Self::Node) => Step::Into(Self::PodmanPod { path: up_to }),
            (_, Self::Node) if up_to == "/docker" => Step::Into(Self::DockerParent),
            (_, Self::Node) if component == "libpod_parent" => Step::Into(Self::PodmanParent),
            (_, Self::Node) => Step::Into(Self::Node),
        }
    }
}

#[cfg(test)]
mod tests;
