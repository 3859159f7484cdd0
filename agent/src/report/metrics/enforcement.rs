//! What the runtime asked, and what containers are held to.

use std::time::Duration;

use bulkhead_policy::pressure::Stall;
use prometheus::{
    CounterVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::{Maker, MetricsError, number};
use crate::enforce::State;

/// The runtime's calls, for `bulkhead_nri_request_seconds`.
const CALLS: [&str; 6] = ["synchronize", "create", "start", "update", "validate", "other"];
/// The budget of a call is a quarter of a second.
const BUCKETS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.0];

/// The metrics of hardening.
pub(crate) struct Enforcement {
    requests: HistogramVec,
    connected: IntGauge,
    troubled: IntCounterVec,
    limits: IntGaugeVec,
    drifts: IntCounterVec,
    stalled: CounterVec,
    profiles: IntGaugeVec,
    profile_drifts: IntCounterVec,
}

impl Enforcement {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let new = Maker { registry: registry.clone() };
        let requests = HistogramVec::new(
            HistogramOpts::new(
                "bulkhead_nri_request_seconds",
                "How long the container runtime waited for an answer.",
            )
            .buckets(BUCKETS.to_vec()),
            &["call"],
        )?;
        let stalled = CounterVec::new(
            Opts::new(
                "bulkhead_tenant_stalled_seconds_total",
                "Time in which a tenant's container waited for a resource that another used most.",
            ),
            &["tenant", "by", "resource"],
        )?;
        let enforcement = Self {
            requests: new.register(requests)?,
            connected: new.gauge(
                "bulkhead_nri_connected",
                "1 while a container runtime asks the agent before it makes a container.",
            )?,
            troubled: new.counters(
                "bulkhead_nri_troubled_total",
                "Containers that could not be given what their level asks for.",
                &["outcome"],
            )?,
            limits: new.gauges(
                "bulkhead_limits",
                "Limits of containers by how they stand.",
                &["state"],
            )?,
            drifts: new.counters(
                "bulkhead_limit_drifts_total",
                "Limits that were found loosened by somebody.",
                &["tenant", "file"],
            )?,
            stalled: new.register(stalled)?,
            profiles: new.gauges(
                "bulkhead_apparmor_profiles",
                "1 for a profile of the agent's that the kernel holds as loaded, 0 for one that it \
                 does not.",
                &["profile"],
            )?,
            profile_drifts: new.counters(
                "bulkhead_apparmor_profile_drifts_total",
                "Profiles of the agent's that somebody else had changed or removed.",
                &["profile"],
            )?,
        };
        for call in CALLS {
            enforcement.requests.with_label_values(&[call]);
        }
        for outcome in ["admitted", "refused"] {
            enforcement.troubled.with_label_values(&[outcome]);
        }
        enforcement.set_limits(State::ALL.map(|state| (state, 0)));
        Ok(enforcement)
    }

    /// The runtime had its answer.
    pub(crate) fn answered(&self, call: &str, took: Duration) {
        self.requests.with_label_values(&[call]).observe(took.as_secs_f64());
    }

    /// Whether a runtime asks.
    pub(crate) fn connected(&self, connected: bool) {
        self.connected.set(i64::from(connected));
    }

    /// A container was `refused` or `admitted` without what its level asks for.
    pub(crate) fn troubled(&self, outcome: &str) {
        self.troubled.with_label_values(&[outcome]).inc();
    }

    /// How many limits stand how.
    pub(crate) fn set_limits(&self, counts: [(State, usize); 5]) {
        for (state, count) in counts {
            self.limits.with_label_values(&[state.as_str()]).set(number(count));
        }
    }

    /// The agent's profiles, and whether the kernel holds each as it was loaded.
    pub(crate) fn set_profiles<'a>(&self, standing: impl Iterator<Item = (&'a str, bool)>) {
        self.profiles.reset();
        for (name, in_force) in standing {
            self.profiles.with_label_values(&[name]).set(i64::from(in_force));
            self.profile_drifts.with_label_values(&[name]);
        }
    }

    /// Somebody else had changed a profile.
    pub(crate) fn profile_drifted(&self, name: &str) {
        self.profile_drifts.with_label_values(&[name]).inc();
    }

    pub(super) fn drifted(&self, tenant: &str, file: &str) {
        self.drifts.with_label_values(&[tenant, file]).inc();
    }

    pub(super) fn stalled(&self, tenant: &str, by: &str, stall: &Stall) {
        let seconds = Duration::from_micros(stall.stalled).as_secs_f64();
        let labels = [tenant, by, stall.resource.as_str()];
        self.stalled.with_label_values(&labels).inc_by(seconds);
    }
}
