//! Numbers by which the kernel side knows tables and tenants. They outlive a reload.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bulkhead_abi::{CANARY_SLOT, LevelTable, PENDING_SLOT, WATCH_SLOT};
use jiff::civil::Date;
use thiserror::Error;

use crate::{Assignment, Policy};

/// The first slot of a tenant.
const FIRST: u16 = PENDING_SLOT + 1;
/// Slots of tenants and their exceptions.
const ROOM: usize = CANARY_SLOT as usize - FIRST as usize;
/// Tenants that the configuration may name. With the exceptions half the room, so that a reload
/// that exchanges all of them never needs a slot which a container of a former tenant still refers
/// to.
pub const MAX_TENANTS: usize = 127;
/// Exceptions that the configuration may declare, of all tenants together.
pub const MAX_EXCEPTIONS: usize = ROOM / 2 - MAX_TENANTS;

/// Whose table it is: a tenant's, or that of an exception of it.
type Owner = (String, Option<String>);

/// Which table decides for whom.
///
/// A tenant or exception keeps its slot for as long as every policy names it. The slot of one that
/// is gone rests until the update after, by when its containers have been given to others.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    by_owner: BTreeMap<Owner, u16>,
    resting: BTreeMap<Owner, u16>,
    /// In use before this agent, and nobody knows by whom: they rest as well.
    unclaimed: BTreeSet<u16>,
}

impl Slots {
    /// No tenant yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The slots as an earlier agent gave them, with the name of the tenant, or none: that of an
    /// exception, or one that rests. Containers may still refer to each, so that one without a name
    /// rests until the update after the first.
    pub fn recover(known: impl IntoIterator<Item = (Option<String>, u16)>) -> Self {
        let range = FIRST..CANARY_SLOT;
        let (named, nobody_s): (Vec<_>, Vec<_>) = known
            .into_iter()
            .filter(|(_, slot)| range.contains(slot))
            .partition(|(name, _)| name.is_some());
        let named = named.into_iter().filter_map(|(name, slot)| Some(((name?, None), slot)));
        let by_owner: BTreeMap<Owner, u16> = named.collect();
        let held: BTreeSet<u16> = by_owner.values().copied().collect();
        let unknown = nobody_s.into_iter().map(|(_, slot)| slot);
        let unclaimed = unknown.filter(|slot| !held.contains(slot)).collect();
        Self { by_owner, resting: BTreeMap::new(), unclaimed }
    }

    /// The slot that is a tenant's, or was until the last update.
    pub fn held_by(&self, tenant: &str) -> Option<u16> {
        let owner = (tenant.to_owned(), None);
        self.by_owner.get(&owner).or_else(|| self.resting.get(&owner)).copied()
    }

    /// Takes `policy` over. Returns every table in use, to be written before any container is
    /// given its slot.
    pub fn update(&mut self, policy: &Policy, today: Date) -> Vec<(u16, LevelTable)> {
        let wanted = owners(policy, today);
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.by_owner)
            .into_iter()
            .partition(|(owner, _)| wanted.iter().any(|(wanted, _)| wanted == owner));
        self.by_owner = kept;
        self.resting = gone;
        let unclaimed = std::mem::take(&mut self.unclaimed);
        let known = self.by_owner.values().chain(self.resting.values());
        let taken: BTreeSet<u16> = known.chain(&unclaimed).copied().collect();
        let mut free = (FIRST..=u16::MAX).take(ROOM).filter(|slot| !taken.contains(slot));
        let mut tables = vec![
            (WATCH_SLOT, policy.default_level().table()),
            (PENDING_SLOT, policy.pending_table()),
        ];
        for (owner, table) in wanted {
            let known = self.by_owner.get(&owner).copied();
            // A policy within its limits never runs out; a tenant without a slot would be held to
            // the pending table, the strictest there is.
            let Some(slot) = known.or_else(|| free.next()) else { continue };
            self.by_owner.insert(owner, slot);
            tables.push((slot, table));
        }
        tables
    }

    /// The tables of exceptions on this day: one that holds no longer is its tenant's own. To be
    /// written when a day begins.
    pub fn of_exceptions(&self, policy: &Policy, today: Date) -> Vec<(u16, LevelTable)> {
        let excepted = owners(policy, today).into_iter().filter(|((_, name), _)| name.is_some());
        excepted.filter_map(|(owner, table)| Some((*self.by_owner.get(&owner)?, table))).collect()
    }

    /// The slot for a container with this assignment.
    pub fn slot(&self, assignment: &Assignment) -> u16 {
        if !assignment.named {
            return WATCH_SLOT;
        }
        let owner = (assignment.tenant.clone(), assignment.exception.clone());
        // An assignment by a policy that `update` has not seen: unknown means strictest.
        self.by_owner.get(&owner).copied().unwrap_or(PENDING_SLOT)
    }
}

/// Every tenant and exception, with its table on this day.
fn owners(policy: &Policy, today: Date) -> Vec<(Owner, LevelTable)> {
    let mut owners = Vec::new();
    for tenant in policy.tenants() {
        let table = tenant.level().table();
        owners.push(((tenant.name().to_owned(), None), table));
        for exception in tenant.exceptions() {
            let owner = (tenant.name().to_owned(), Some(exception.name().to_owned()));
            let holds = exception.holds_on(today);
            owners.push((owner, if holds { exception.loosen(table) } else { table }));
        }
    }
    owners
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
