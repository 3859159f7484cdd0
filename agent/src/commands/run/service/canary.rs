//! The canary in the loop: when it flies, and whom its end is told.

use std::time::Duration;

use bulkhead_abi::{CANARY_TENANT, CountKey};
use bulkhead_policy::{
    Settings,
    catalogue::{self, Severity},
};

use super::Service;
use crate::{
    prove::{self, Canary, Flight, Ground, Landed},
    report::metrics::Metrics,
};

/// Whether it counts the canary's acts, which are no tenant's.
pub(super) fn counted(key: &CountKey) -> bool {
    key.tenant == CANARY_TENANT
}

/// Where the canary flies, and how often, in minutes, if the command line says.
pub(in crate::commands::run) struct Perch {
    pub(in crate::commands::run) ground: Ground,
    pub(in crate::commands::run) schedule: Option<u64>,
}

/// A canary as configured, at the strictest built-in level.
pub(super) fn of(settings: &Settings, perch: Perch) -> anyhow::Result<Canary> {
    let every = interval(settings, perch.schedule);
    Ok(Canary::new(perch.ground, prove::strictest()?, every))
}

/// What alerts must find before the first increase.
pub(super) fn announce(metrics: &Metrics) {
    metrics.expect_canaries(&prove::CANARIES, &Landed::ALL.map(Landed::as_str));
}

/// How often it flies, by the configuration and the command line; `None` is never.
pub(super) fn interval(settings: &Settings, schedule: Option<u64>) -> Option<Duration> {
    let minutes = schedule.unwrap_or(settings.configuration.canary.every_minutes);
    (minutes > 0).then(|| Duration::from_secs(minutes * 60))
}

impl Service {
    /// Goes on with what is under way, and tells what has ended.
    pub(super) fn fly(&mut self) -> anyhow::Result<()> {
        let Some(flight) = self.canary.turn(&mut self.guard)? else { return Ok(()) };
        let Flight { behaviour, rule, landed, why } = flight;
        self.metrics.canary(behaviour, landed.as_str());
        let rule = catalogue::info(rule).id;
        match landed {
            Landed::Seen => tracing::debug!(behaviour, rule, why, "the canary was seen"),
            Landed::Missed => {
                let message = format!(
                    "the guard missed its canary {behaviour} ({rule}): {why}; what it promises \
                     does not hold on this node now: look with `bulkhead doctor`, then restart \
                     the agent"
                );
                self.notice("canary", Severity::Critical, &message);
            }
            Landed::Failed => {
                let message = format!("the canary {behaviour} ({rule}) could not be tried: {why}");
                self.notice("canary", Severity::Medium, &message);
            }
        }
        Ok(())
    }
}
