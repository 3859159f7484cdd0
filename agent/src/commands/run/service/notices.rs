//! What the agent says about itself, in the log and on stderr.

use bulkhead_policy::{
    catalogue::{self, Severity},
    event::{Event, Kind, Notice, Text},
};
use jiff::Timestamp;

use super::Service;
use crate::{kernel::State, node};

impl Service {
    pub(super) fn tell_overflow(&mut self) -> anyhow::Result<()> {
        if !self.overflow_told && self.guard.overflowed()? {
            self.overflow_told = true;
            self.notice(
                "overflow",
                Severity::Medium,
                "a cgroup found no room in the kernel's map: the guard now looks at the ancestors \
                 of cgroups without an entry, which costs more and misses nothing",
            );
        }
        Ok(())
    }

    /// Says something about the agent itself, in the log and on stderr.
    pub(super) fn notice(&mut self, subject: &'static str, severity: Severity, message: &str) {
        tracing::info!(subject, "{message}");
        let notice = Notice { subject, severity, message: Text::new(message) };
        let event = Event::new(Timestamp::now(), self.watch.node(), Kind::Notice(notice));
        self.evidence.append(event);
    }

    /// What this node can do, as evidence: who reads the log later must know what could not have
    /// been seen.
    pub(super) fn tell_start(&mut self) -> anyhow::Result<()> {
        let ladder = self.guard.ladder().clone();
        let message = format!(
            "bulkhead {} on kernel {}, boot {}: {} of {} rules can refuse",
            env!("CARGO_PKG_VERSION"),
            ladder.kernel,
            node::boot_id()?,
            ladder.count(State::Enforcing),
            ladder.rules.len(),
        );
        self.notice("started", Severity::Low, &message);
        for rule in ladder.rules.iter().filter(|rule| !rule.state.enforces()) {
            let info = catalogue::info(rule.number);
            let message =
                format!("{} ({}) is {}: {}", rule.rule, rule.title, rule.state.as_str(), rule.why);
            self.notice("control", info.severity, &message);
        }
        for lack in ladder.lineage.lacks() {
            self.notice("control", Severity::Medium, &lack);
        }
        Ok(())
    }

    /// A claim for a cgroup that is not there may be a slip of the pen.
    pub(super) fn tell_absent_claims(&mut self) {
        for (tenant, path) in self.workloads.absent_claims() {
            let message = format!(
                "the cgroup {path} that tenant {tenant} claims does not exist; it is the tenant's \
                 as soon as somebody makes it"
            );
            self.notice("policy", Severity::Medium, &message);
        }
    }
}
