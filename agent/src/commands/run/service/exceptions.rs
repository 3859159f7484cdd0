//! Declared exceptions: who has one on this node, for `bulkhead tenants` and the metrics.

use bulkhead_abi::{Relation, Rule};
use bulkhead_policy::{Exception, catalogue, policy::Tenant};

use super::Service;
use crate::{control::ExceptionView, report::metrics::ExceptionSeries};

impl Service {
    /// A tenant's exceptions, for whoever asks.
    pub(super) fn exceptions_of(&self, tenant: &Tenant) -> Vec<ExceptionView> {
        let view = |exception: &Exception| ExceptionView {
            name: exception.name().to_owned(),
            workload: exception.workload(),
            rules: exception.rules().map(loosened).collect(),
            reason: exception.reason().to_owned(),
            until: exception.until().map(|until| until.to_string()),
            in_force: exception.holds_on(self.workloads.day()),
            containers: self.excepted(tenant, exception),
        };
        tenant.exceptions().iter().map(view).collect()
    }

    /// Where a day has begun, ends what held until yesterday and says so.
    pub(super) fn keep_dates(&mut self) -> anyhow::Result<()> {
        if self.workloads.keep_dates(&mut self.guard)? {
            self.tell_ended_exceptions();
        }
        Ok(())
    }

    /// An exception that holds no longer is in the configuration still: somebody may count on it.
    pub(super) fn tell_ended_exceptions(&mut self) {
        let today = self.workloads.day();
        let ended: Vec<String> = self
            .workloads
            .policy()
            .tenants()
            .iter()
            .flat_map(|tenant| tenant.exceptions().iter().map(move |exception| (tenant, exception)))
            .filter(|(_, exception)| !exception.holds_on(today))
            .map(|(tenant, exception)| {
                let until = exception.until().map(|until| until.to_string()).unwrap_or_default();
                format!(
                    "exception {} of tenant {} held until {until} and holds no longer: its workload \
                     is held to the tenant's level; remove it, or write a later day",
                    exception.name(),
                    tenant.name(),
                )
            })
            .collect();
        for message in ended {
            self.notice("policy", catalogue::Severity::Medium, &message);
        }
    }

    pub(super) fn set_exception_metrics(&self) {
        let today = self.workloads.day();
        let mut all = Vec::new();
        for tenant in self.workloads.policy().tenants() {
            for exception in tenant.exceptions() {
                let state = if exception.holds_on(today) { "in-force" } else { "expired" };
                let containers = self.excepted(tenant, exception);
                let mut rules: Vec<Rule> = exception.rules().map(|(rule, _)| rule).collect();
                rules.dedup();
                all.extend(rules.into_iter().map(|rule| ExceptionSeries {
                    tenant: tenant.name(),
                    exception: exception.name(),
                    rule: catalogue::info(rule).id,
                    state,
                    containers,
                }));
            }
        }
        self.metrics.set_exceptions(&all);
    }

    /// Containers on this node that an exception is for.
    fn excepted(&self, tenant: &Tenant, exception: &Exception) -> usize {
        let is_it = |assignment: &bulkhead_policy::Assignment| {
            assignment.tenant == tenant.name()
                && assignment.exception.as_deref() == Some(exception.name())
        };
        self.workloads.containers().filter(|workload| is_it(&workload.assignment)).count()
    }
}

/// A rule, and the relation where it has one.
fn loosened((rule, relation): (Rule, Relation)) -> String {
    let id = catalogue::info(rule).id;
    match relation {
        Relation::None => id.to_owned(),
        relation => format!("{id} {}", relation.as_str()),
    }
}
