//! Numbers by which the kernel side knows tables and tenants. They outlive a reload.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bulkhead_abi::{LevelTable, MAX_LEVELS, PENDING_SLOT, WATCH_SLOT};
use thiserror::Error;

use crate::{Assignment, Policy};

/// The first slot of a tenant.
const FIRST: u16 = PENDING_SLOT + 1;
/// Slots of tenants.
const ROOM: usize = MAX_LEVELS as usize - FIRST as usize;
/// Tenants that the configuration may name. Half the room, so that a reload that exchanges all of
/// them never needs a slot which a container of a former tenant still refers to.
pub const MAX_TENANTS: usize = ROOM / 2;

/// Which table decides for which tenant.
///
/// A tenant keeps its slot for as long as every policy names it. The slot of a tenant that is gone
/// rests until the update after, by when its containers have been given to others.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    by_tenant: BTreeMap<String, u16>,
    resting: BTreeMap<String, u16>,
}

impl Slots {
    /// No tenant yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The slots as an earlier agent gave them: containers may still refer to each.
    pub fn recover(known: impl IntoIterator<Item = (String, u16)>) -> Self {
        let range = FIRST..MAX_LEVELS as u16;
        let by_tenant = known.into_iter().filter(|(_, slot)| range.contains(slot)).collect();
        Self { by_tenant, resting: BTreeMap::new() }
    }

    /// The slot that is a tenant's, or was until the last update.
    pub fn held_by(&self, tenant: &str) -> Option<u16> {
        self.by_tenant.get(tenant).or_else(|| self.resting.get(tenant)).copied()
    }

    /// Takes `policy` over. Returns every table in use, to be written before any container is
    /// given its slot.
    pub fn update(&mut self, policy: &Policy) -> Vec<(u16, LevelTable)> {
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.by_tenant)
            .into_iter()
            .partition(|(name, _)| policy.tenant(name).is_some());
        self.by_tenant = kept;
        self.resting = gone;
        let taken: BTreeSet<u16> =
            self.by_tenant.values().chain(self.resting.values()).copied().collect();
        let mut free = (FIRST..=u16::MAX).take(ROOM).filter(|slot| !taken.contains(slot));
        let mut tables = vec![
            (WATCH_SLOT, policy.default_level().table()),
            (PENDING_SLOT, policy.pending_table()),
        ];
        for tenant in policy.tenants() {
            let known = self.by_tenant.get(tenant.name()).copied();
            // A policy of at most MAX_TENANTS never runs out; a tenant without a slot would be
            // held to the pending table, the strictest there is.
            let Some(slot) = known.or_else(|| free.next()) else { continue };
            self.by_tenant.insert(tenant.name().to_owned(), slot);
            tables.push((slot, tenant.level().table()));
        }
        tables
    }

    /// The slot for a container with this assignment.
    pub fn slot(&self, assignment: &Assignment) -> u16 {
        if !assignment.named {
            return WATCH_SLOT;
        }
        // An assignment by a policy that `update` has not seen: unknown means strictest.
        self.by_tenant.get(&assignment.tenant).copied().unwrap_or(PENDING_SLOT)
    }
}

/// Tenants that a run of the agent can tell apart, unnamed namespaces included.
pub const MAX_TENANT_NUMBERS: u32 = 65_535;

/// More tenants than can be told apart.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "tenant {tenant:?} gets no number: {MAX_TENANT_NUMBERS} tenants have been seen since the agent \
     started; its containers count as strangers to everybody; restart the agent to begin anew"
)]
pub struct TooManyTenants {
    /// The tenant that came too late.
    pub tenant: String,
}

/// The numbers of tenants, from 1. They are never given to another tenant, because the counts and
/// the log go on referring to them.
#[derive(Clone, Debug, Default)]
pub struct TenantNumbers {
    by_name: HashMap<String, u32>,
    names: Vec<Option<String>>,
}

impl TenantNumbers {
    /// No tenant yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The numbers as an earlier agent gave them. One without a name is nobody's any more.
    pub fn recover(known: impl IntoIterator<Item = (u32, Option<String>)>) -> Self {
        let mut numbers = Self::default();
        for (number, name) in known {
            let Some(at) = number.checked_sub(1).and_then(|at| usize::try_from(at).ok()) else {
                continue;
            };
            if number > MAX_TENANT_NUMBERS {
                continue;
            }
            if numbers.names.len() <= at {
                numbers.names.resize(at + 1, None);
            }
            if let (Some(place), Some(name)) = (numbers.names.get_mut(at), name) {
                *place = Some(name.clone());
                numbers.by_name.insert(name, number);
            }
        }
        numbers
    }

    /// The number of a tenant that has one.
    pub fn known(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Every tenant that has a number.
    pub fn all(&self) -> impl Iterator<Item = (&str, u32)> {
        self.by_name.iter().map(|(name, number)| (name.as_str(), *number))
    }

    /// The number of the tenant called `name`, the same at every call.
    ///
    /// # Errors
    /// When there is none left. The container then stays
    /// [`UNIDENTIFIED_TENANT`](bulkhead_abi::UNIDENTIFIED_TENANT), a stranger to everybody.
    pub fn number(&mut self, name: &str) -> Result<u32, TooManyTenants> {
        if let Some(number) = self.by_name.get(name) {
            return Ok(*number);
        }
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX).saturating_add(1);
        if next > MAX_TENANT_NUMBERS {
            return Err(TooManyTenants { tenant: name.to_owned() });
        }
        self.by_name.insert(name.to_owned(), next);
        self.names.push(Some(name.to_owned()));
        Ok(next)
    }

    /// The tenant with this number.
    pub fn name(&self, number: u32) -> Option<&str> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        self.names.get(at)?.as_deref()
    }
}

#[cfg(test)]
mod tests;
