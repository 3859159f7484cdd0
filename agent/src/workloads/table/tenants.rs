//! By what the kernel side knows tenants: numbers in identities and counts, slots of levels. Each is
//! remembered before anything refers to it.

use bulkhead_abi::{Identity, UNIDENTIFIED_TENANT, identity_flag};
use bulkhead_policy::{Assignment, Slots};

use super::Workloads;
use crate::{
    kernel::{Guard, KnownTenant},
    workloads::placement::WorkloadError,
};

/// Whose slots are whose. Those of exceptions are in no memory but the identities of the containers
/// that refer to them: until each has been placed anew, nobody else may have its slot.
pub(super) fn recover_slots(known: &[KnownTenant], guard: &Guard) -> Slots {
    let of_tenants = known.iter().filter_map(|tenant| Some((tenant.name.clone(), tenant.slot?)));
    let referred_to = guard.identities().into_iter().map(|(_, identity)| (None, identity.slot));
    Slots::recover(of_tenants.chain(referred_to))
}

impl Workloads {
    /// Before any level or container refers to a slot, later agents can know whose it is.
    pub(super) fn remember_slots(&self, guard: &mut Guard) -> Result<(), WorkloadError> {
        for (name, number) in self.numbers.all() {
            let (name, slot) = (Some(name.to_owned()), self.slots.held_by(name));
            guard.remember_tenant(&KnownTenant { number, name, slot })?;
        }
        Ok(())
    }

    /// A tenant's number; a new one is remembered before anything refers to it.
    pub(super) fn number(&mut self, tenant: &str, guard: &mut Guard) -> Result<u32, WorkloadError> {
        if let Some(number) = self.numbers.known(tenant) {
            return Ok(number);
        }
        match self.numbers.number(tenant) {
            Ok(number) => {
                let (name, slot) = (Some(tenant.to_owned()), self.slots.held_by(tenant));
                guard.remember_tenant(&KnownTenant { number, name, slot })?;
                Ok(number)
            }
            Err(error) => {
                tracing::error!(%error, "a tenant cannot be told from others");
                Ok(UNIDENTIFIED_TENANT)
            }
        }
    }

    /// A claimed cgroup that does not exist yet must be its tenant's from its first moment on, so
    /// that its name is given to the kernel side as well. Names in the map end with a zero byte:
    /// only the whole name counts.
    pub(super) fn claim_templates(
        &mut self,
        guard: &mut Guard,
    ) -> Result<Vec<(String, Identity)>, WorkloadError> {
        let claims: Vec<_> =
            self.policy
                .tenants()
                .iter()
                .flat_map(|tenant| {
                    tenant.cgroups().iter().map(|claim| {
                        (claim.path().to_owned(), claim.children(), tenant.assignment())
                    })
                })
                .collect();
        let mut templates = Vec::new();
        for (path, children, assignment) in claims {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            if name.is_empty() || name.len() > 30 {
                continue;
            }
            let flags = if children { identity_flag::CONTAINERS_BELOW } else { 0 };
            let template = self.identity([0, 0], &assignment, flags, guard)?;
            templates.push((format!("{name}\0"), template));
        }
        Ok(templates)
    }

    pub(super) fn identity(
        &mut self,
        [container, pod]: [u64; 2],
        assignment: &Assignment,
        flags: u16,
        guard: &mut Guard,
    ) -> Result<Identity, WorkloadError> {
        let tenant = self.number(&assignment.tenant, guard)?;
        Ok(Identity { container, pod, tenant, slot: self.slots.slot(assignment), flags })
    }
}
