//! The table itself, and its copy in the kernel.

mod beforehand;
mod devices;
mod listing;
mod tenants;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::Path,
};

use bulkhead_abi::{
    CANARY_TENANT, CgroupGone, CgroupMade, Identity, PENDING_SLOT, UNIDENTIFIED_TENANT,
    identity_flag,
};
use bulkhead_policy::{
    Assignment, Policy, Slots, TenantNumbers,
    event::{self, Names, Text},
    policy::Tenant,
    verify::Devices,
    workload::{SCOPE_NAMES, ScopeKind},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

pub(crate) use self::listing::{Listed, NoSuch};
use super::{
    bundle::Bundles,
    placement::{Found, Placement, WorkloadError, place},
    retries::Retries,
};
use crate::{kernel::Guard, node::cgroupfs::CgroupTree};

/// Containers that are gone and still remembered, for records that come late.
const REMEMBERED: usize = 1_024;
/// One container.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Whose it is.
    pub(crate) assignment: Assignment,
    /// What the kernel's map says.
    pub(crate) identity: Identity,
    /// The devices that its runtime has granted to it.
    pub(crate) devices: Devices,
    container: event::Container,
}

/// Why a cgroup is looked at.
#[derive(Clone, Copy)]
enum Look {
    /// The whole tree is.
    Scan,
    /// It is new, or could not be named so many times.
    Again(usize),
}

impl Look {
    fn attempt(self) -> usize {
        match self {
            Self::Scan => 0,
            Self::Again(attempt) => attempt,
        }
    }
}

/// Every container of the node.
pub(crate) struct Workloads {
    tree: CgroupTree,
    bundles: Bundles,
    policy: Policy,
    slots: Slots,
    numbers: TenantNumbers,
    /// Directories in which containers can be made, by cgroup id: what `made` needs of parents.
    directories: HashMap<u64, String>,
    containers: HashMap<u64, Workload>,
    /// The cgroup paths of the containers that are there.
    paths: HashMap<String, u64>,
    pods: HashMap<u64, event::Pod>,
    unnamed: HashSet<u64>,
    gone: VecDeque<u64>,
    retries: Retries,
    /// The day that the tables of exceptions are of.
    day: Date,
}

/// The day, in UTC: the same on every node of a cluster.
fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

impl Workloads {
    /// An empty table. Writes the policy's levels and the runtimes' names to the kernel.
    pub(crate) fn new(
        tree: CgroupTree,
        bundles: Bundles,
        policy: Policy,
        guard: &mut Guard,
    ) -> Result<Self, WorkloadError> {
        // The kernel's maps may outlive the agent: what they say of tenants stays true.
        let known = guard.known_tenants()?;
        let mut table = Self {
            tree,
            bundles,
            slots: tenants::recover_slots(&known, guard),
            numbers: TenantNumbers::recover(
                known.into_iter().map(|tenant| (tenant.number, tenant.name)),
            ),
            directories: HashMap::new(),
            containers: HashMap::new(),
            paths: HashMap::new(),
            pods: HashMap::new(),
            unnamed: HashSet::new(),
            gone: VecDeque::new(),
            retries: Retries::default(),
            day: today(),
            policy: policy.clone(),
        };
        for (prefix, kind) in SCOPE_NAMES {
            guard.set_scope(prefix, scope_template(*kind))?;
        }
        table.write_policy(policy, guard)?;
        Ok(table)
    }

    /// Takes a new policy over: levels first, then each container's slot. A container is never
    /// without a table in between.
    pub(crate) fn adopt_policy(
        &mut self,
        policy: Policy,
        guard: &mut Guard,
    ) -> Result<(), WorkloadError> {
        self.write_policy(policy, guard)?;
        self.scan(guard)
    }

    fn write_policy(&mut self, policy: Policy, guard: &mut Guard) -> Result<(), WorkloadError> {
        let today = today();
        let tables = self.slots.update(&policy, today);
        for tenant in policy.tenants() {
            self.number(tenant.name(), guard)?;
        }
        self.remember_slots(guard)?;
        for (slot, table) in tables {
            guard.set_level(slot, &table)?;
        }
        (self.policy, self.day) = (policy, today);
        for (name, template) in self.claim_templates(guard)? {
            guard.set_scope(&name, template)?;
        }
        Ok(())
    }

    /// The day that the exceptions in force are of, in UTC.
    pub(crate) fn day(&self) -> Date {
        self.day
    }

    /// Where a day has begun, takes back what held until yesterday. Returns whether one has.
    pub(crate) fn keep_dates(&mut self, guard: &mut Guard) -> Result<bool, WorkloadError> {
        let today = today();
        if self.day == today {
            return Ok(false);
        }
        for (slot, table) in self.slots.of_exceptions(&self.policy, today) {
            guard.set_level(slot, &table)?;
        }
        self.day = today;
        Ok(true)
    }

    /// Places every cgroup of the tree, parents first, and forgets what is no longer there.
    pub(crate) fn scan(&mut self, guard: &mut Guard) -> Result<(), WorkloadError> {
        let walk = self.tree.walk()?;
        if walk.too_deep > 0 {
            tracing::warn!(
                cgroups = walk.too_deep,
                "cgroups nested deeper than the agent looks: the kernel side walks up from them"
            );
            guard.set_overflow()?;
        }
        let mut present = HashSet::with_capacity(walk.cgroups.len());
        for cgroup in &walk.cgroups {
            present.insert(cgroup.id);
            if let Some(path) = cgroup.path.to_str() {
                self.place_one(cgroup.id, path, Look::Scan, guard)?;
            }
        }
        for (id, _) in guard.identities() {
            if !present.contains(&id) {
                guard.forget(id)?;
            }
        }
        let vanished: Vec<u64> =
            self.containers.keys().copied().filter(|id| !present.contains(id)).collect();
        for id in vanished {
            self.remember(id);
        }
        self.directories.retain(|id, _| present.contains(id));
        self.unnamed.retain(|id| present.contains(id));
        Ok(())
    }

    /// A cgroup was made. The kernel side has given it an entry already, if one was to be given.
    pub(crate) fn made(
        &mut self,
        record: &CgroupMade,
        guard: &mut Guard,
    ) -> Result<(), WorkloadError> {
        let inherited = record.identity;
        if inherited.container != 0 && inherited.container != record.cgroup {
            // Inside a container that is known: the entry is the container's, and final.
            return Ok(());
        }
        let Some(parent) = self.directories.get(&record.parent) else {
            // Its parent was made before we listened, or was lost: look at everything.
            return self.scan(guard);
        };
        let Some(path) = self.path_of(record, parent) else {
            // Gone already.
            return Ok(());
        };
        self.place_one(record.cgroup, &path, Look::Again(0), guard)
    }

    /// A cgroup was removed, and the kernel's entry with it.
    pub(crate) fn removed(&mut self, record: &CgroupGone) {
        self.directories.remove(&record.cgroup);
        self.unnamed.remove(&record.cgroup);
        self.retries.forget(record.cgroup);
        if self.containers.contains_key(&record.cgroup) {
            self.remember(record.cgroup);
        }
    }

    /// Looks again at what could not be named, where the time has come.
    pub(crate) fn retry(&mut self, guard: &mut Guard) -> Result<(), WorkloadError> {
        for retry in self.retries.due() {
            let look = Look::Again(retry.attempt + 1);
            self.place_one(retry.cgroup, &retry.path, look, guard)?;
        }
        Ok(())
    }

    /// Cgroups that tenants claim and that do not exist (yet), with the tenant's name.
    pub(crate) fn absent_claims(&self) -> Vec<(String, String)> {
        let claims = self.policy.tenants().iter().flat_map(|tenant| {
            tenant.cgroups().iter().map(move |claim| (tenant.name(), claim.path()))
        });
        claims
            .filter(|(_, path)| self.tree.id(Path::new(path)).is_err())
            .map(|(tenant, path)| (tenant.to_owned(), path.to_owned()))
            .collect()
    }

    /// The containers that are there.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Workload> {
        self.containers
            .iter()
            .filter(|(id, _)| !self.gone.contains(id))
            .map(|(_, workload)| workload)
    }

    /// Containers that nobody has named yet.
    pub(crate) fn unattributed(&self) -> usize {
        self.unnamed.len()
    }

    fn path_of(&self, record: &CgroupMade, parent: &str) -> Option<String> {
        let name = bulkhead_policy::decode::zero_filled(&record.name);
        if name.len() + 1 < record.name.len() {
            let name = std::str::from_utf8(name).ok()?;
            return Some(format!("{}/{name}", parent.trim_end_matches('/')));
        }
        // The name did not fit: ask the directory.
        let path = self.tree.child_with_id(Path::new(parent), record.cgroup)?;
        path.to_str().map(str::to_owned)
    }

    fn place_one(
        &mut self,
        id: u64,
        path: &str,
        look: Look,
        guard: &mut Guard,
    ) -> Result<(), WorkloadError> {
        let placement = match self.container_around(path) {
            Some(container) => Placement::Inside(container),
            None => place(path, &self.policy, &self.bundles).unwrap_or_else(|error| {
                tracing::warn!(path, error = %chain(&error), "a container's bundle cannot be read");
                Placement::Unnamed
            }),
        };
        match placement {
            Placement::Container(found) => return self.name_container(id, path, found, guard),
            Placement::Inside(container) => {
                if let Some(workload) = self.by_path(&container) {
                    let identity = workload.identity;
                    guard.set_identity(id, identity)?;
                }
            }
            Placement::Slice => {
                let entry = Identity { flags: identity_flag::SLICE, ..pending() };
                guard.set_identity(id, entry)?;
                self.directories.insert(id, path.to_owned());
            }
            Placement::Claimed(tenant) => self.claim_directory(id, path, &tenant, guard)?,
            Placement::Unnamed => {
                self.unnamed.insert(id);
                let flags = identity_flag::UNCONFIRMED;
                guard.set_identity(id, Identity { container: id, flags, ..pending() })?;
                self.look_again(id, path, look.attempt());
            }
            // The agent has named it itself, for as long as it is there.
            Placement::Host if is_canary(guard.identity(id)) => {}
            Placement::Host => {
                self.directories.insert(id, path.to_owned());
                guard.forget(id)?;
                if let Look::Again(attempt) = look {
                    // A plain runtime's state appears after the cgroup; whatever stays the host's
                    // is left alone in the end.
                    let _again = self.retries.wait(id, path, attempt);
                }
            }
        }
        Ok(())
    }

    fn claim_directory(
        &mut self,
        id: u64,
        path: &str,
        tenant: &str,
        guard: &mut Guard,
    ) -> Result<(), WorkloadError> {
        let Some(assignment) = self.policy.tenant(tenant).map(Tenant::assignment) else {
            return Ok(());
        };
        let flags = identity_flag::CONTAINERS_BELOW;
        let entry = self.identity([0, 0], &assignment, flags, guard)?;
        guard.set_identity(id, entry)?;
        self.directories.insert(id, path.to_owned());
        Ok(())
    }

    fn name_container(
        &mut self,
        id: u64,
        path: &str,
        found: Found,
        guard: &mut Guard,
    ) -> Result<(), WorkloadError> {
        let assignment = self.policy.assign(&found.facts(path));
        let pod_id = found.pod_path.as_ref().and_then(|pod| self.tree.id(Path::new(pod)).ok());
        let identity = self.identity([id, pod_id.unwrap_or(0)], &assignment, 0, guard)?;
        guard.set_identity(id, identity)?;
        // Cgroups made below it before this entry stood have the older one.
        for inner in self.tree.walk_from(Path::new(path))?.cgroups {
            guard.set_identity(inner.id, identity)?;
        }
        if let (Some(pod_id), Some(pod)) = (pod_id, pod_of(&found)) {
            self.pods.insert(pod_id, pod);
        }
        let container = container_of(&found, path);
        self.gone.retain(|gone| *gone != id);
        self.unnamed.remove(&id);
        self.paths.insert(path.to_owned(), id);
        let devices = self.hand_over_grants(id, found.id.as_deref(), guard)?;
        self.containers.insert(id, Workload { assignment, identity, devices, container });
        Ok(())
    }

    /// The path of the container that the cgroup at `path` lies in, if one is known: a path alone
    /// does not tell it of a container whose cgroup may be called anything.
    fn container_around(&self, path: &str) -> Option<String> {
        let parents = Path::new(path).ancestors().skip(1);
        parents
            .filter_map(Path::to_str)
            .find(|parent| self.paths.contains_key(*parent))
            .map(str::to_owned)
    }

    fn by_path(&self, path: &str) -> Option<&Workload> {
        self.containers.get(self.paths.get(path)?)
    }

    fn look_again(&mut self, cgroup: u64, path: &str, attempt: usize) {
        if !self.retries.wait(cgroup, path, attempt) {
            tracing::warn!(
                path,
                "no runtime has a bundle for this container: it keeps the strictest level"
            );
        }
    }

    /// Keeps the name of a container that is gone, for a while.
    fn remember(&mut self, id: u64) {
        if self.gone.contains(&id) {
            return;
        }
        self.gone.push_back(id);
        self.paths.retain(|_, known| *known != id);
        if self.gone.len() > REMEMBERED
            && let Some(oldest) = self.gone.pop_front()
            && let Some(workload) = self.containers.remove(&oldest)
        {
            self.pods.remove(&workload.identity.pod);
        }
    }
}

impl Names for Workloads {
    fn tenant(&self, number: u32) -> Option<&str> {
        self.numbers.name(number)
    }

    fn pod(&self, cgroup: u64) -> Option<&event::Pod> {
        self.pods.get(&cgroup)
    }

    fn container(&self, cgroup: u64) -> Option<&event::Container> {
        self.containers.get(&cgroup).map(|workload| &workload.container)
    }

    fn owner(&self, cgroup: u64) -> Option<event::Owner<'_>> {
        self.containers.get(&cgroup).map(|workload| event::Owner {
            tenant: &workload.assignment.tenant,
            pod: self.pods.get(&workload.identity.pod),
            container: &workload.container,
        })
    }
}

fn is_canary(identity: Option<Identity>) -> bool {
    identity.is_some_and(|identity| identity.tenant == CANARY_TENANT)
}

fn pending() -> Identity {
    Identity { container: 0, pod: 0, tenant: UNIDENTIFIED_TENANT, slot: PENDING_SLOT, flags: 0 }
}

fn scope_template(kind: ScopeKind) -> Identity {
    match kind {
        ScopeKind::Container => pending(),
        ScopeKind::Slice => Identity { flags: identity_flag::SLICE, ..pending() },
        ScopeKind::Monitor => Identity::HOST,
    }
}

fn pod_of(found: &Found) -> Option<event::Pod> {
    found.bundle.pod.as_ref()?;
    let text = |value: &Option<String>| value.as_ref().map(Text::new);
    Some(event::Pod {
        namespace: text(&found.bundle.namespace),
        name: text(&found.bundle.pod),
        uid: text(&found.bundle.pod_uid),
    })
}

fn container_of(found: &Found, path: &str) -> event::Container {
    let text = |value: &Option<String>| value.as_ref().map(Text::new);
    event::Container {
        id: text(&found.id),
        name: text(&found.bundle.container),
        runtime: text(&found.runtime),
        cgroup: Some(Text::new(path)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
