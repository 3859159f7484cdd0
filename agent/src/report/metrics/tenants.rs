//! Tenant names as label values, bounded.

use std::collections::HashSet;

/// Tenants that get a label value of their own.
///
/// Each costs some ten series (rules that really match × relations × effects); with this many the
/// agent stays at a few thousand, which one scrape in fifteen seconds carries without effort. A
/// node rarely runs more pods than half of it.
pub(super) const MAX_TENANTS: usize = 200;

/// The label of every tenant beyond [`MAX_TENANTS`]. A Kubernetes name cannot begin so.
pub(super) const OTHER: &str = "_other";
/// The label of a workload whose tenant is not known.
pub(super) const UNIDENTIFIED: &str = "_unidentified";

/// Which tenants have a label of their own: the first that come, for the life of the agent, so
/// that a series never changes its meaning.
#[derive(Debug, Default)]
pub(super) struct TenantLabels {
    own: HashSet<String>,
    folded: HashSet<String>,
}

impl TenantLabels {
    /// The label for a tenant.
    pub(super) fn label(&mut self, tenant: Option<&str>) -> String {
        let Some(tenant) = tenant else { return UNIDENTIFIED.to_owned() };
        if self.own.contains(tenant) {
            return tenant.to_owned();
        }
        if self.own.len() < MAX_TENANTS {
            self.own.insert(tenant.to_owned());
            return tenant.to_owned();
        }
        self.folded.insert(tenant.to_owned());
        OTHER.to_owned()
    }

    /// How many tenants share [`OTHER`].
    pub(super) fn folded(&self) -> usize {
        self.folded.len()
    }
}
