//! Which devices a container has been granted, from its bundle to the kernel's map.

use bulkhead_policy::{
    devices::{GrantError, granted},
    verify::Devices,
};

use super::{Workloads, chain};
use crate::{
    kernel::{Guard, MapError},
    workloads::bundle::BundleError,
};

/// Why the grants of a container are not known.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Grant(#[from] GrantError),
}

impl Workloads {
    /// Reads what the runtime granted and tells the kernel side. It is read once: a runtime grants
    /// when it makes the container. What is not known is not refused.
    pub(super) fn hand_over_grants(
        &self,
        cgroup: u64,
        id: Option<&str>,
        guard: &mut Guard,
    ) -> Result<Devices, MapError> {
        let before = self.containers.get(&cgroup).map_or(Devices::Unknown, |it| it.devices);
        if before != Devices::Unknown {
            return Ok(before);
        }
        let read = || {
            let rules = id.map(|id| self.bundles.devices(id)).transpose()?.flatten();
            Ok::<_, Trouble>(granted(&rules.unwrap_or_default())?)
        };
        let grants = read().unwrap_or_else(|trouble| {
            tracing::warn!(
                container = id,
                error = %chain(&trouble),
                "what devices a container was granted is not known: its runtime alone decides"
            );
            None
        });
        guard.set_grants(cgroup, grants.as_ref())?;
        Ok(match grants {
            None => Devices::Unknown,
            Some(grants) if grants.all_but != 0 => Devices::All,
            Some(grants) => Devices::Granted(usize::try_from(grants.count).unwrap_or_default()),
        })
    }
}
