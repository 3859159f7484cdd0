//! The metrics, in a registry of their own. docs/metrics.md explains each to its reader.

mod counts;
mod enforcement;
mod tenants;

use std::sync::{Mutex, MutexGuard, PoisonError};

use bulkhead_abi::{CountKey, Fate, Rule, Rung};
use bulkhead_policy::{catalogue, pressure::Stall};
use prometheus::{
    Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};

use self::{counts::Counts, enforcement::Enforcement, tenants::TenantLabels};

/// What /metrics says it is.
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What a rule can do on this node, for `bulkhead_rules`.
const RULE_STATES: [&str; 3] = ["enforcing", "observing", "blind"];
/// How a reload can end, for `bulkhead_policy_reloads_total`.
const RELOAD_RESULTS: [&str; 2] = ["success", "failure"];

/// The metrics could not be made or written out.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub(crate) struct MetricsError(#[from] prometheus::Error);

/// Every metric of the agent.
pub(crate) struct Metrics {
    registry: Registry,
    verdicts: IntCounterVec,
    uncounted: IntCounterVec,
    delivered: IntCounter,
    lost: IntCounterVec,
    repeated: IntCounterVec,
    malformed: IntCounterVec,
    containers: IntGaugeVec,
    control_rung: IntGaugeVec,
    rules: IntGaugeVec,
    reload_success: IntGauge,
    last_reload: Gauge,
    reloads: IntCounterVec,
    evidence_records: IntCounter,
    evidence_lost: IntCounter,
    evidence_errors: IntCounter,
    unattributed: IntGauge,
    responses: IntCounterVec,
    frozen: IntGaugeVec,
    programs_lost: IntCounter,
    tenants_folded: IntGauge,
    exceptions: IntGaugeVec,
    drift: IntGaugeVec,
    overlaps: IntGauge,
    /// What the runtime asked, and what containers are held to.
    canaries: IntCounterVec,
    pub(crate) enforcement: Enforcement,
    memory: Mutex<Memory>,
}

/// One rule of one exception.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExceptionSeries<'a> {
    /// The tenant that declares it.
    pub(crate) tenant: &'a str,
    /// Its name.
    pub(crate) exception: &'a str,
    /// The rule's id.
    pub(crate) rule: &'static str,
    /// `in-force` or `expired`.
    pub(crate) state: &'static str,
    /// Containers that it is for.
    pub(crate) containers: usize,
}

/// What must be remembered between two readings.
#[derive(Default)]
struct Memory {
    counts: Counts,
    tenants: TenantLabels,
    uncounted: std::collections::BTreeMap<Rule, u64>,
}

impl Metrics {
    /// Makes and registers every metric. `revision` is the source's commit, where it is known.
    pub(crate) fn new(version: &str, revision: &str) -> Result<Self, MetricsError> {
        let new = Maker { registry: Registry::new() };
        let metrics = Self {
            verdicts: new.counters(
                "bulkhead_verdicts_total",
                "Acts that a guard rule matched, counted in the kernel, delivered or not.",
                &["rule", "tenant", "relation", "verdict", "effect"],
            )?,
            uncounted: new.counters(
                "bulkhead_verdicts_uncounted_total",
                "Acts that a guard rule matched and that found no room in the kernel's count map.",
                &["rule"],
            )?,
            delivered: new.counter(
                "bulkhead_events_delivered_total",
                "Records of the kernel side that the agent has read.",
            )?,
            lost: new.counters(
                "bulkhead_events_lost_total",
                "Acts whose record never left the kernel: no room, or over the tenant's budget.",
                &["rule", "tenant", "reason"],
            )?,
            repeated: new.counters(
                "bulkhead_events_repeated_total",
                "Acts counted with one before that was the same, instead of told by themselves.",
                &["rule", "tenant"],
            )?,
            malformed: new.counters(
                "bulkhead_records_malformed_total",
                "Records of the kernel side that the agent could not read.",
                &["reason"],
            )?,
            containers: new.gauges(
                "bulkhead_containers",
                "Containers known on this node.",
                &["tenant", "level"],
            )?,
            control_rung: new.gauges(
                "bulkhead_control_rung",
                "1 for the kind of program that each control has on this node, 0 for the others.",
                &["control", "rung"],
            )?,
            rules: new.gauges(
                "bulkhead_rules",
                "Guard rules by what they can do on this node.",
                &["state"],
            )?,
            reload_success: new.gauge(
                "bulkhead_policy_reload_success",
                "1 if the newest configuration is in force, 0 if it is bad and an older one is.",
            )?,
            last_reload: new.time(
                "bulkhead_policy_last_reload_timestamp_seconds",
                "When the configuration in force was loaded, in seconds since 1970.",
            )?,
            reloads: new.counters(
                "bulkhead_policy_reloads_total",
                "Configurations read, the first included.",
                &["result"],
            )?,
            evidence_records: new.counter(
                "bulkhead_evidence_records_total",
                "Events written to the evidence log.",
            )?,
            evidence_lost: new.counter(
                "bulkhead_evidence_records_lost_total",
                "Events that found no room in memory while the evidence log could not be written.",
            )?,
            evidence_errors: new.counter(
                "bulkhead_evidence_write_errors_total",
                "Attempts to write the evidence log that failed.",
            )?,
            unattributed: new.gauge(
                "bulkhead_cgroups_unattributed",
                "Cgroups that hold a workload nobody could name.",
            )?,
            responses: new.counters(
                "bulkhead_responses_total",
                "What the agent did about containers: froze, captured, thawed, or could not.",
                &["action", "tenant"],
            )?,
            frozen: new.gauges(
                "bulkhead_frozen_containers",
                "Containers that the agent has frozen and nobody has thawed.",
                &["tenant"],
            )?,
            programs_lost: new.counter(
                "bulkhead_programs_lost_total",
                "Executed programs whose records found no room: their command lines are not told.",
            )?,
            tenants_folded: new.gauge(
                "bulkhead_metrics_tenants_folded",
                "Tenants that share the tenant label `_other`.",
            )?,
            exceptions: new.gauges(
                "bulkhead_exceptions",
                "Containers on this node that a declared exception is for, by rule; 0 where none is.",
                &["tenant", "exception", "rule", "state"],
            )?,
            drift: new.gauges(
                "bulkhead_drift",
                "Containers that lack a control which their level requires.",
                &["tenant", "control"],
            )?,
            overlaps: new.gauge(
                "bulkhead_user_id_overlaps",
                "Pairs of containers of two tenants whose user ids are the same ones on the node.",
            )?,
            canaries: new.counters(
                "bulkhead_canaries_total",
                "Harmless breakouts that the agent tried itself, and whether the guard saw them.",
                &["behaviour", "result"],
            )?,
            enforcement: Enforcement::new(&new.registry)?,
            memory: Mutex::default(),
            registry: new.registry,
        };
        metrics.set_constants(version, revision)?;
        Ok(metrics)
    }

    /// What never changes, and the series that alerts must find before the first increase.
    fn set_constants(&self, version: &str, revision: &str) -> Result<(), MetricsError> {
        let new = Maker { registry: self.registry.clone() };
        let build = new.gauges(
            "bulkhead_build_info",
            "1; the labels tell which build runs.",
            &["version", "revision"],
        )?;
        build.with_label_values(&[version, revision]).set(1);
        let info = new.gauges(
            "bulkhead_rule_info",
            "1; the labels tell what a rule is about.",
            &["rule", "severity", "technique"],
        )?;
        for rule in catalogue::ALL {
            info.with_label_values(&[rule.id, rule.severity.as_str(), rule.technique]).set(1);
        }
        for state in RULE_STATES {
            self.rules.with_label_values(&[state]).set(0);
        }
        for result in RELOAD_RESULTS {
            self.reloads.with_label_values(&[result]).inc_by(0);
        }
        Ok(())
    }

    /// The agent did something about a container.
    pub(crate) fn responded(&self, action: &str, tenant: Option<&str>) {
        let tenant = self.memory().tenants.label(tenant);
        self.responses.with_label_values(&[action, &tenant]).inc();
    }

    /// What came of an act of the agent's canary.
    pub(crate) fn canary(&self, behaviour: &str, result: &str) {
        self.canaries.with_label_values(&[behaviour, result]).inc();
    }

    /// Every series of the canary is there before its first act.
    pub(crate) fn expect_canaries(&self, behaviours: &[&str], results: &[&str]) {
        for behaviour in behaviours {
            for result in results {
                self.canaries.with_label_values(&[behaviour, result]).inc_by(0);
            }
        }
    }

    /// Records of executed programs found no room.
    pub(crate) fn programs_lost(&self, more: u64) {
        self.programs_lost.inc_by(more);
    }

    /// How many containers of each tenant stand still.
    pub(crate) fn set_frozen(&self, frozen: &std::collections::BTreeMap<&str, i64>) {
        let mut totals = std::collections::BTreeMap::<String, i64>::new();
        let mut memory = self.memory();
        for (tenant, count) in frozen {
            *totals.entry(memory.tenants.label(Some(tenant))).or_default() += count;
        }
        self.frozen.reset();
        for (tenant, count) in totals {
            self.frozen.with_label_values(&[&tenant]).set(count);
        }
    }

    /// Takes over a reading of the kernel's counts. `tenant` names a tenant's number.
    ///
    /// A reading may lack keys of earlier ones (a container is gone and its counts were removed):
    /// what was counted stays in the totals.
    pub(crate) fn fold_counts<'a>(
        &self,
        reading: &[(CountKey, u64)],
        tenant: impl Fn(u32) -> Option<&'a str>,
    ) {
        let mut memory = self.memory();
        let Memory { counts, tenants, .. } = &mut *memory;
        let unreadable = counts.fold(reading, |increase| {
            let tenant = tenants.label(tenant(increase.tenant));
            let labels = [
                increase.rule.id,
                &tenant,
                increase.relation.as_str(),
                increase.verdict.as_str(),
                increase.effect.as_str(),
            ];
            self.verdicts.with_label_values(&labels).inc_by(increase.by);
            match increase.fate {
                Fate::Delivered => {}
                Fate::Repeated => {
                    let labels = [increase.rule.id, &tenant];
                    self.repeated.with_label_values(&labels).inc_by(increase.by);
                }
                lost @ (Fate::NoRoom | Fate::OverBudget) => {
                    let labels = [increase.rule.id, &tenant, lost.as_str()];
                    self.lost.with_label_values(&labels).inc_by(increase.by);
                }
            }
        });
        if unreadable > 0 {
            self.malformed.with_label_values(&["count_key"]).inc_by(unreadable);
        }
        self.tenants_folded.set(number(tenants.folded()));
    }

    /// Takes over a reading of the verdicts that the count map had no room for.
    pub(crate) fn fold_uncounted(&self, reading: &[(Rule, u64)]) {
        let mut memory = self.memory();
        for (rule, count) in reading {
            let seen = memory.uncounted.insert(*rule, *count).unwrap_or_default();
            let by = count.saturating_sub(seen);
            self.uncounted.with_label_values(&[catalogue::info(*rule).id]).inc_by(by);
        }
    }

    /// Records that were read from the ring.
    pub(crate) fn delivered(&self, records: u64) {
        self.delivered.inc_by(records);
    }

    /// A record that could not be read, and the error's one word for why.
    pub(crate) fn malformed(&self, reason: &str) {
        self.malformed.with_label_values(&[reason]).inc();
    }

    /// The containers of this node: tenant, level, how many.
    pub(crate) fn set_containers<'a>(
        &self,
        containers: impl IntoIterator<Item = (&'a str, &'a str, usize)>,
    ) {
        let mut memory = self.memory();
        self.containers.reset();
        for (tenant, level, count) in containers {
            let tenant = memory.tenants.label(Some(tenant));
            self.containers.with_label_values(&[tenant.as_str(), level]).add(number(count));
        }
        self.tenants_folded.set(number(memory.tenants.folded()));
    }

    /// The declared exceptions, by rule.
    pub(crate) fn set_exceptions(&self, all: &[ExceptionSeries<'_>]) {
        let mut memory = self.memory();
        self.exceptions.reset();
        for one in all {
            let tenant = memory.tenants.label(Some(one.tenant));
            let labels = [tenant.as_str(), one.exception, one.rule, one.state];
            self.exceptions.with_label_values(&labels).add(number(one.containers));
        }
    }

    /// The rung of one control.
    pub(crate) fn set_control_rung(&self, control: &str, rung: Rung) {
        for other in Rung::ALL {
            let value = i64::from(*other == rung);
            self.control_rung.with_label_values(&[control, other.as_str()]).set(value);
        }
    }

    /// How many rules are `enforcing`, `observing` or `blind`.
    pub(crate) fn set_rules(&self, state: &str, count: usize) {
        self.rules.with_label_values(&[state]).set(number(count));
    }

    /// A configuration is in force. `time`: seconds since 1970.
    pub(crate) fn reloaded(&self, time: f64) {
        self.reload_success.set(1);
        self.last_reload.set(time);
        self.reloads.with_label_values(&["success"]).inc();
    }

    /// A configuration was bad; the one before stays in force.
    pub(crate) fn reload_failed(&self) {
        self.reload_success.set(0);
        self.reloads.with_label_values(&["failure"]).inc();
    }

    /// What a flush of the evidence log came to.
    pub(crate) fn flushed(&self, flush: &super::evidence::Flush) {
        self.evidence_records.inc_by(flush.written);
        self.evidence_lost.inc_by(flush.lost);
        self.evidence_errors.inc_by(flush.errors);
    }

    /// Cgroups that hold a workload nobody could name.
    pub(crate) fn set_unattributed(&self, cgroups: usize) {
        self.unattributed.set(number(cgroups));
    }

    /// Containers that lack a control: tenant, control, how many.
    pub(crate) fn set_drift<'a>(
        &self,
        totals: impl IntoIterator<Item = (&'a str, &'static str, usize)>,
    ) {
        let mut memory = self.memory();
        self.drift.reset();
        for (tenant, control, count) in totals {
            let tenant = memory.tenants.label(Some(tenant));
            self.drift.with_label_values(&[tenant.as_str(), control]).add(number(count));
        }
    }

    /// Pairs of containers whose user ids overlap.
    pub(crate) fn set_overlaps(&self, pairs: usize) {
        self.overlaps.set(number(pairs));
    }

    /// A tenant's container had a limit loosened.
    pub(crate) fn drifted(&self, tenant: &str, file: &str) {
        let tenant = self.memory().tenants.label(Some(tenant));
        self.enforcement.drifted(&tenant, file);
    }

    /// A tenant was stalled by another.
    pub(crate) fn stalled(&self, stall: &Stall) {
        let mut memory = self.memory();
        let tenant = memory.tenants.label(Some(&stall.tenant));
        let by = memory.tenants.label(Some(&stall.suspect));
        self.enforcement.stalled(&tenant, &by, stall);
    }

    /// Everything, in the text format.
    pub(crate) fn text(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// A panic elsewhere while the lock was held leaves numbers that are at worst one reading old.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Makes metrics and registers them.
struct Maker {
    registry: Registry,
}

impl Maker {
    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::with_opts(Opts::new(name, help))?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::with_opts(Opts::new(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn time(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register(Gauge::with_opts(Opts::new(name, help))?)
    }

    fn register<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

#[cfg(test)]
mod tests;
