//! From the rings to the log: acts as they come, and how often they were repeated.

use std::mem;

use bulkhead_abi::{CANARY_TENANT, Fate};
use bulkhead_policy::event::{Event, Kind};
use jiff::Timestamp;

use super::{Service, lineages, write_out};
use crate::{
    kernel::InHand,
    node::clock,
    respond::Offence,
    watch::{self, Reading, Sign},
};

impl Service {
    /// Takes one turn of records into the log; none means that the rings are empty. Each is written
    /// before it leaves its ring: an agent that is killed leaves it to the next.
    pub(super) fn take_turn(&mut self) -> anyhow::Result<u64> {
        let node = self.watch.node().to_owned();
        let (mut offences, mut untold, mut unsaid) = (Vec::new(), 0, Ok(()));
        let drained = self.watch.turn(&self.workloads, |mut event, sign| {
            match sign {
                Some(sign) if sign.key.tenant == CANARY_TENANT => {
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
                    unsaid = mem::replace(&mut unsaid, Ok(())).and(said);
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
            if let Some(Sign { key, .. }) = sign {
                self.repeated.told(key, sequence);
                if self.evidence.is_waiting() {
                    let count = self.waiting.add(key.tenant, u16::from(key.rule));
                    let of = (key.tenant, u16::from(key.rule), Fate::Delivered);
                    let said = self.guard.remember_told(of, count);
                    unsaid = mem::replace(&mut unsaid, Ok(())).and(said);
                }
            }
        });
        self.respond(&offences);
        self.metrics.delivered(drained.acts - untold);
        self.doubt.end();
        unsaid?;
        Ok(drained.events)
    }

    /// Once nothing waits to be written: what the next agent has not to tell again.
    pub(super) fn remember_what_is_written(&mut self) -> anyhow::Result<()> {
        if self.evidence.is_waiting() {
            return Ok(());
        }
        for (tenant, rule) in self.waiting.end() {
            self.guard.remember_told((tenant, rule, Fate::Delivered), 0)?;
        }
        for (of, count) in self.losses.written() {
            self.guard.remember_told(of, count)?;
        }
        Ok(())
    }

    /// What waited in the memory of an agent that was killed. It is the next one's to tell until it is in
    /// the log.
    pub(super) fn tell_left_undone(&mut self) -> anyhow::Result<()> {
        for ((tenant, rule, fate), count) in self.guard.told_losses()? {
            if fate == Fate::Delivered && count > 0 {
                self.waiting.take_over(tenant, rule, count);
                let loss = watch::loss((tenant, rule, fate), count, &self.workloads);
                let node = self.watch.node();
                self.evidence.append(Event::new(Timestamp::now(), node, Kind::Loss(loss)));
            }
        }
        self.flush();
        self.remember_what_is_written()
    }

    /// Tells what was repeated: what is over, or all, before the end.
    pub(super) fn tell_repeats(&mut self, all: bool) -> anyhow::Result<()> {
        if !all && self.repeated.rests() {
            return Ok(());
        }
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
        if !self.evidence.is_waiting() {
            for (key, repeats) in self.repeated.written() {
                self.guard.remember_said(&key, repeats)?;
            }
            self.guard.forget_unrepeated_acts(&outcome.over)?;
            for key in &outcome.over_and_said {
                self.guard.forget_act(key)?;
            }
            outcome.over.iter().chain(&outcome.over_and_said).for_each(|key| {
                self.repeated.forget(key);
            });
        }
        for _ in 0..outcome.unreadable {
            self.metrics.malformed("act_key");
        }
        Ok(())
    }
}
