//! The policy: which tenant a container belongs to, and how it is held.

use bulkhead_abi::LevelTable;

use crate::{
    claim::{CgroupClaim, NamespaceClaim},
    exception::Exception,
    level::{Level, strictest},
    limits::TenantLimits,
};

/// The tenant of a container outside Kubernetes that no tenant claims.
pub const UNASSIGNED: &str = "unassigned";

/// Names that stand for something else than a tenant wherever tenants are named.
pub(crate) const RESERVED: [&str; 4] = [UNASSIGNED, "host", "unidentified", "none"];

/// Namespaces without which a cluster does not live: nothing of theirs is ever refused, and limits
/// hold for them only where a tenant of the configuration claims them.
pub const SYSTEM_NAMESPACES: [&str; 4] =
    ["kube-system", "kube-public", "kube-node-lease", "bulkhead-system"];

/// What is known of a container.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkloadFacts<'a> {
    /// The pod's Kubernetes namespace.
    pub namespace: Option<&'a str>,
    /// The pod's name.
    pub pod: Option<&'a str>,
    /// The container's name.
    pub container: Option<&'a str>,
    /// Its image, as the runtime names it.
    pub image: Option<&'a str>,
    /// Its cgroup, from the cgroup v2 root.
    pub cgroup_path: &'a str,
}

/// Whose a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The tenant's name. Two containers are of one tenant if and only if these are equal.
    pub tenant: String,
    /// The level's name.
    pub level: String,
    /// The exception that the tenant declares for it.
    pub exception: Option<String>,
    /// Whether the configuration names the tenant. Otherwise the container is only held to the
    /// default level.
    pub named: bool,
}

/// Who shares the node and how each is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    levels: Vec<Level>,
    default: Level,
    tenants: Vec<Tenant>,
    never_freeze: Vec<NamespaceClaim>,
}

/// A tenant of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub(crate) name: String,
    pub(crate) level: Level,
    pub(crate) namespaces: Vec<NamespaceClaim>,
    pub(crate) cgroups: Vec<CgroupClaim>,
    pub(crate) limits: TenantLimits,
    pub(crate) exceptions: Vec<Exception>,
}

impl Tenant {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its level, with the tenant's own changes, under the level's name.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// How much all of its containers on this node may use together.
    pub fn limits(&self) -> TenantLimits {
        self.limits
    }

    /// The namespaces that it claims.
    pub fn namespaces(&self) -> &[NamespaceClaim] {
        &self.namespaces
    }

    /// What single workloads of it may do although the level refuses it.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Its containers that nothing more is known of.
    pub fn assignment(&self) -> Assignment {
        Assignment {
            tenant: self.name.clone(),
            level: self.level.name().to_owned(),
            exception: None,
            named: true,
        }
    }

    /// The first exception of the file that is for this container of the tenant.
    fn exception_for(&self, facts: &WorkloadFacts<'_>) -> Option<&Exception> {
        self.exceptions.iter().find(|exception| exception.fits(facts))
    }

    /// The cgroups that it claims by path.
    pub fn cgroups(&self) -> &[CgroupClaim] {
        &self.cgroups
    }
}

impl Policy {
    pub(crate) fn new(
        levels: Vec<Level>,
        default: Level,
        tenants: Vec<Tenant>,
        never_freeze: Vec<NamespaceClaim>,
    ) -> Self {
        Self { levels, default, tenants, never_freeze }
    }

    /// Whether a container of this Kubernetes namespace may be frozen: those that the node or the
    /// cluster lives on may not.
    pub fn may_freeze(&self, namespace: Option<&str>) -> bool {
        let system = |namespace| self.never_freeze.iter().any(|it| it.fit(namespace).is_some());
        !namespace.is_some_and(system)
    }

    /// Every level there is, built in or defined.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The level of containers that no tenant claims.
    pub fn default_level(&self) -> &Level {
        &self.default
    }

    /// The tenants, in the order of the configuration.
    pub fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// The tenant called `name`.
    pub fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.name == name)
    }

    /// Whose container this is.
    ///
    /// A claim by cgroup path goes before one by namespace: the kernel knows it before the
    /// container's first instruction, and it must not change when the namespace is learnt. Of two
    /// claims of one kind the closer one counts.
    pub fn assign(&self, facts: &WorkloadFacts<'_>) -> Assignment {
        let claimed = self
            .claimed_cgroup(facts.cgroup_path)
            .map(|(tenant, _)| tenant)
            .or_else(|| self.claimed_namespace(facts.namespace?));
        match claimed {
            Some(tenant) => Assignment {
                exception: tenant.exception_for(facts).map(|exception| exception.name.clone()),
                ..tenant.assignment()
            },
            None => Assignment {
                tenant: self.unnamed_tenant(facts.namespace),
                level: self.default.name().to_owned(),
                exception: None,
                named: false,
            },
        }
    }

    /// The tenant that claims a cgroup by its path, and the container's own cgroup, which is a
    /// beginning of `cgroup_path`.
    pub fn claimed_cgroup<'a>(&self, cgroup_path: &'a str) -> Option<(&Tenant, &'a str)> {
        self.tenants
            .iter()
            .flat_map(|tenant| tenant.cgroups.iter().map(move |claim| (tenant, claim)))
            .filter_map(|(tenant, claim)| Some((tenant, claim, claim.container_in(cgroup_path)?)))
            // Of `/a/b` and `/a/*`, both of which give `/a/b`, the first is the closer.
            .max_by_key(|(_, claim, container)| (container.len(), !claim.children()))
            .map(|(tenant, _, container)| (tenant, container))
    }

    /// The level that an assignment means: the tenant's own form of it.
    pub fn level_of(&self, assignment: &Assignment) -> &Level {
        let tenant = self.tenant(&assignment.tenant).filter(|_| assignment.named);
        tenant.map_or(&self.default, Tenant::level)
    }

    fn claimed_namespace(&self, namespace: &str) -> Option<&Tenant> {
        self.tenants
            .iter()
            .flat_map(|tenant| tenant.namespaces.iter().map(move |claim| (tenant, claim)))
            .filter_map(|(tenant, claim)| Some((tenant, claim.fit(namespace)?)))
            .max_by_key(|(_, fit)| *fit)
            .map(|(tenant, _)| tenant)
    }

    /// An unclaimed namespace is a tenant of its own. One that is called like a tenant of the
    /// configuration must not become that tenant's fellow.
    fn unnamed_tenant(&self, namespace: Option<&str>) -> String {
        match namespace {
            None => UNASSIGNED.to_owned(),
            Some(taken) if RESERVED.contains(&taken) || self.tenant(taken).is_some() => {
                format!("namespace:{taken}")
            }
            Some(namespace) => namespace.to_owned(),
        }
    }

    /// The table for containers that are known to be workloads and not named yet: as strict as
    /// that of any tenant they may turn out to belong to.
    ///
    /// Tenants that claim by cgroup path alone do not count: the path is known from the start.
    pub fn pending_table(&self) -> LevelTable {
        let by_namespace = self.tenants.iter().filter(|tenant| !tenant.namespaces.is_empty());
        let tables = by_namespace.map(|tenant| tenant.level.table());
        strictest(tables.chain([self.default.table()]))
    }
}

#[cfg(test)]
mod tests;
