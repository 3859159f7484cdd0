//! What one cgroup is: from its path, the policy's claims and the runtimes' bundles. Nothing here
//! changes anything.

use bulkhead_policy::{
    Policy, WorkloadFacts,
    workload::{CgroupKind, classify},
};

use super::bundle::{Bundle, BundleError, Bundles};
use crate::{kernel, node::cgroupfs::CgroupError};

/// Why the table could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkloadError {
    /// The tree could not be read.
    #[error(transparent)]
    Tree(#[from] CgroupError),
    /// The kernel's map could not be written.
    #[error(transparent)]
    Map(#[from] kernel::MapError),
}

/// What a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// A container's own cgroup.
    Container(Found),
    /// A container whose pod nobody has named yet.
    Unnamed,
    /// Inside the container whose own cgroup is at this path.
    Inside(String),
    /// A directory of workloads.
    Slice,
    /// A directory that a tenant's claim `PATH/*` gives to it.
    Claimed(String),
    /// The node's.
    Host,
}

/// A container that can be named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What its bundle says.
    pub(super) bundle: Bundle,
    /// The runtime's id of it.
    pub(super) id: Option<String>,
    /// The pod's cgroup.
    pub(super) pod_path: Option<String>,
    /// The runtime, as far as it is known.
    pub(super) runtime: Option<String>,
}

impl Found {
    /// What the policy asks about.
    pub(super) fn facts<'a>(&'a self, cgroup_path: &'a str) -> WorkloadFacts<'a> {
        WorkloadFacts {
            namespace: self.bundle.namespace.as_deref(),
            pod: self.bundle.pod.as_deref(),
            container: self.bundle.container.as_deref(),
            image: self.bundle.image.as_deref(),
            cgroup_path,
        }
    }
}

/// Places the cgroup at `path`.
///
/// A bundle that is there and cannot be read is an error and the container stays unnamed: the
/// strict reading, never a guess.
pub(super) fn place(
    path: &str,
    policy: &Policy,
    bundles: &Bundles,
) -> Result<Placement, BundleError> {
    if let Some((_tenant, container)) = policy.claimed_cgroup(path) {
        return Ok(if container == path {
            let id = path.rsplit('/').next().unwrap_or_default();
            let bundle = bundles.find(id)?.unwrap_or_default();
            let runtime = bundle.runtime.clone();
            Placement::Container(Found { bundle, id: Some(id.to_owned()), pod_path: None, runtime })
        } else {
            Placement::Inside(container.to_owned())
        });
    }
    match classify(path) {
        CgroupKind::Container(located) if located.container_path != path => {
            Ok(Placement::Inside(located.container_path.to_owned()))
        }
        CgroupKind::Container(located) => {
            let bundle = match located.container_id {
                Some(id) => bundles.find(id)?,
                None => None,
            };
            // Below a pod, the namespace decides; without it the container cannot be named.
            let named = bundle.as_ref().is_some_and(|bundle| bundle.namespace.is_some());
            if located.pod_uid.is_some() && !named {
                return Ok(Placement::Unnamed);
            }
            let bundle = bundle.unwrap_or_default();
            let by_path = located.runtime.as_str();
            let runtime = match by_path {
                "unknown" => bundle.runtime.clone(),
                known => Some(known.to_owned()),
            };
            Ok(Placement::Container(Found {
                bundle,
                id: located.container_id.map(str::to_owned),
                pod_path: located.pod_path.map(str::to_owned),
                runtime,
            }))
        }
        CgroupKind::Pod { .. } | CgroupKind::Slice => Ok(Placement::Slice),
        CgroupKind::Monitor => Ok(Placement::Host),
        CgroupKind::Other => other(path, policy, bundles),
    }
}

/// A cgroup whose path says nothing: a claimed directory, or a container that a runtime has by the
/// name of the cgroup (plain runc and crun, `ctr`).
fn other(path: &str, policy: &Policy, bundles: &Bundles) -> Result<Placement, BundleError> {
    let claims = policy
        .tenants()
        .iter()
        .flat_map(|tenant| tenant.cgroups().iter().map(move |claim| (tenant.name(), claim)));
    for (tenant, claim) in claims {
        if claim.children() && claim.path() == path {
            return Ok(Placement::Claimed(tenant.to_owned()));
        }
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(match bundles.find(name)? {
        Some(bundle) => {
            let runtime = bundle.runtime.clone();
            Placement::Container(Found {
                bundle,
                id: Some(name.to_owned()),
                pod_path: None,
                runtime,
            })
        }
        None => match bundles.find_by_cgroup(path) {
            Some((id, bundle)) => {
                let runtime = bundle.runtime.clone();
                Placement::Container(Found { bundle, id: Some(id), pod_path: None, runtime })
            }
            None => Placement::Host,
        },
    })
}
