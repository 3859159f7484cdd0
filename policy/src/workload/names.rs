//! The names that runtimes and the kubelet give to cgroups.

use super::Runtime;

/// What a cgroup whose name begins in a certain way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    /// A container.
    Container,
    /// The runtime's own watcher, not a workload.
    Monitor,
    /// A directory of workloads.
    Slice,
}

/// Beginnings of names by which the kernel side knows a workload when its cgroup is made. The
/// longest that fits counts.
pub const SCOPE_NAMES: &[(&str, ScopeKind)] = &[
    ("cri-containerd-", ScopeKind::Container),
    ("crio-", ScopeKind::Container),
    ("crio-conmon-", ScopeKind::Monitor),
    ("docker-", ScopeKind::Container),
    ("libpod-", ScopeKind::Container),
    ("libpod-conmon-", ScopeKind::Monitor),
    ("nerdctl-", ScopeKind::Container),
    ("runc-", ScopeKind::Container),
    ("crun-", ScopeKind::Container),
    ("kubepods", ScopeKind::Slice),
    // The kubelet's root for pods below a slice of its own, as in kind's nodes.
    ("kubelet-kubepods", ScopeKind::Slice),
];

/// Beginnings of containers' names, and whose they are.
const RUNTIMES: [(&str, Runtime); 7] = [
    ("cri-containerd-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("docker-", Runtime::Docker),
    ("libpod-", Runtime::Podman),
    ("nerdctl-", Runtime::Nerdctl),
    ("runc-", Runtime::Runc),
    ("crun-", Runtime::Crun),
];

/// What a name says by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// `runtime-ID.scope`.
    Scope(Runtime, &'a str),
    /// `runtime-ID`.
    Bare(Runtime, &'a str),
    /// A runtime's watcher.
    Monitor,
    /// The root of the pods.
    Kubepods,
    /// A pod, and its uid.
    Pod(String),
    /// A pod of Podman under the systemd driver.
    PodmanPod,
    /// Nothing.
    Plain,
}

pub(super) fn name(component: &str) -> Name<'_> {
    let monitors = SCOPE_NAMES.iter().filter(|(_, kind)| *kind == ScopeKind::Monitor);
    if monitors.into_iter().any(|(beginning, _)| component.starts_with(beginning)) {
        return Name::Monitor;
    }
    let (stem, is_scope) = match component.strip_suffix(".scope") {
        Some(stem) => (stem, true),
        None => (component, false),
    };
    for (beginning, runtime) in RUNTIMES {
        if let Some(id) = stem.strip_prefix(beginning) {
            return if is_scope { Name::Scope(runtime, id) } else { Name::Bare(runtime, id) };
        }
    }
    slice(component)
}

fn slice(component: &str) -> Name<'_> {
    let Some(stem) = component.strip_suffix(".slice") else {
        return match component.strip_prefix("pod").and_then(pod_uid) {
            Some(uid) => Name::Pod(uid),
            None if component == "kubepods" => Name::Kubepods,
            None => Name::Plain,
        };
    };
    if stem == "kubepods" || stem.ends_with("-kubepods") {
        return Name::Kubepods;
    }
    if stem.contains("-libpod_pod_") {
        return Name::PodmanPod;
    }
    match stem.rsplit_once("-pod").and_then(|(_, uid)| pod_uid(uid)) {
        Some(uid) => Name::Pod(uid),
        None => Name::Plain,
    }
}

/// The uid in a pod's name. In systemd's names a dash divides slices, so that the kubelet writes
/// underscores for them.
fn pod_uid(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let valid = (1..=64).contains(&text.len()) && text.bytes().all(fits);
    valid.then(|| text.replace('_', "-"))
}

/// `text`, if a runtime would take it for a container's id.
pub(super) fn runtime_id(text: &str) -> Option<&str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-');
    let first = text.bytes().next()?;
    (first.is_ascii_alphanumeric() && text.bytes().all(fits)).then_some(text)
}
