//! From the rings to the log: acts as they come, and how often they were repeated.

use bulkhead_abi::CANARY_TENANT;
use bulkhead_policy::event::{Event, Kind, Loss, LossPlace};
use jiff::Timestamp;

use super::{Service, lineages, write_out};
use crate::{
    kernel::InHand,
    node::clock,
    respond::Offence,
    watch::{Reading, Sign},
};

impl Service {
    /// Takes one turn of records into the log; none means that the rings are empty. Each is written
    /// before it leaves its ring: an agent that is killed leaves it to the next.
    pub(super) fn take_turn(&mut self) -> anyhow::Result<u64> {
        let node = self.watch.node().to_owned();
        let (mut offences, mut unsaid, mut untold) = (Vec::new(), None, 0);
        let drained = self.watch.turn(&self.workloads, |mut event, sign| {
            let tenant = sign.map(|sign| sign.key.tenant);
            match sign {
                Some(sign) if tenant == Some(CANARY_TENANT) => {
                    self.canary.saw(&sign.key);
                    untold += 1;
                    return;
                }
                Some(sign) if self.doubt.is_told(sign.time, sign.task) => {
                    untold += 1;
                    return;
                }
                Some(Sign { time, task, .. }) => {
                    let sequence = self.evidence.next_sequence();
                    let said = self.guard.take_in_hand(InHand { time, task, sequence });
                    unsaid = unsaid.take().or(said.err());
                }
                None => {}
            }
            if let Kind::Malformed(malformed) = &event.kind {
                self.metrics.malformed(malformed.reason);
            }
            for part in lineages::name(&mut self.lineages, &self.workloads, &mut event) {
                self.metrics.malformed(part.reason);
                self.evidence.append(Event::new(Timestamp::now(), &node, Kind::Malformed(part)));
            }
            self.verification.asked(&event);
            let offence = Offence::of(&event);
            let sequence = self.evidence.append(event);
            write_out(&mut self.evidence, &self.metrics);
            offences.extend(offence.map(|offence| (sequence, offence)));
            if let Some(sign) = sign {
                self.repeated.told(sign.key, sequence);
            }
        });
        self.respond(&offences);
        self.metrics.delivered(drained.acts - untold);
        self.tell_left_undone();
        unsaid.map_or(Ok(drained.events), |error| Err(error.into()))
    }

    /// After the first turn: what the agent before took out of the rings and did not write.
    fn tell_left_undone(&mut self) {
        let count = self.doubt.settle();
        if count > 0 {
            let place = LossPlace::Agent;
            let loss = Loss { place, count, last_sequence: None, rule: None, tenant: None };
            let node = self.watch.node();
            self.evidence.append(Event::new(Timestamp::now(), node, Kind::Loss(loss)));
        }
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
        // In the log before the kernel side forgets them.
        self.flush();
        for key in outcome.over {
            self.guard.forget_act(&key)?;
        }
        for _ in 0..outcome.unreadable {
            self.metrics.malformed("act_key");
        }
        Ok(())
    }
}
