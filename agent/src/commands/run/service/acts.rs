//! From the rings to the log: acts as they come, and how often they were repeated.

use bulkhead_abi::CANARY_TENANT;
use bulkhead_policy::event::Kind;

use super::Service;
use crate::{node::clock, respond::Offence, watch::Reading};

impl Service {
    /// Takes one turn of records into the log; none means that the rings are empty.
    pub(super) fn take_turn(&mut self) -> u64 {
        let mut told = Vec::new();
        let drained = self.watch.turn(&self.workloads, |event, key| told.push((event, key)));
        self.name_lineages(told.iter_mut().map(|(event, _)| event));
        let (evidence, metrics) = (&mut self.evidence, &self.metrics);
        let (verification, repeated) = (&mut self.verification, &mut self.repeated);
        let canary = &mut self.canary;
        let (mut offences, mut flown) = (Vec::new(), 0);
        for (event, key) in told {
            if let Kind::Malformed(malformed) = &event.kind {
                metrics.malformed(malformed.reason);
            }
            if let Some(key) = key.filter(|key| key.tenant == CANARY_TENANT) {
                canary.saw(&key);
                flown += 1;
                continue;
            }
            verification.asked(&event);
            let offence = Offence::of(&event);
            let sequence = evidence.append(event);
            offences.extend(offence.map(|offence| (sequence, offence)));
            if let Some(key) = key {
                repeated.told(key, sequence);
            }
        }
        self.respond(&offences);
        self.metrics.delivered(drained.acts - flown);
        drained.events
    }

    /// Tells what was repeated: what is over, or all, before the end.
    pub(super) fn tell_repeats(&mut self, all: bool) -> anyhow::Result<()> {
        let acts = self.guard.acts()?;
        let reading = Reading {
            now: clock::since_boot()?,
            boot: self.watch.boot(),
            names: &self.workloads,
            node: self.watch.node(),
        };
        let outcome = self.repeated.look(&acts, all, &reading);
        for event in outcome.events {
            self.evidence.append(event);
        }
        for key in outcome.over {
            self.guard.forget_act(&key)?;
        }
        for _ in 0..outcome.unreadable {
            self.metrics.malformed("act_key");
        }
        Ok(())
    }
}
