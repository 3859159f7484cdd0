//! A container whose acts are always reported: it tells that all that came before has been.

use anyhow::{Context, Result, ensure};

use crate::{
    evidence::{Event, Evidence},
    pod::{Container, Wish},
};

/// A container of nobody's.
#[derive(Debug)]
pub struct Beacon(Container);

impl Beacon {
    /// Starts it.
    ///
    /// # Errors
    /// When the runtime cannot.
    pub fn start() -> Result<Self> {
        // AppArmor's profile for containers would refuse what the beacon does.
        let wish = Wish::new("beacon", "alone", "crun").with(&["--apparmor", "unconfined"]);
        Container::start(wish).context("the beacon").map(Self)
    }

    /// The events that come while `doing` and of what was done: all of them, because the last of
    /// the records is known to have arrived.
    ///
    /// # Errors
    /// When doing fails, or the last record does not arrive.
    pub fn events_of<T>(
        &self,
        evidence: &Evidence,
        doing: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Vec<Event>)> {
        let before = evidence.newest()?;
        let done = doing()?;
        let last = self.light(evidence, before)?;
        let mut events = evidence.after(before)?;
        events.retain(|event| event.sequence() < last && !is_of(event, &self.0));
        Ok((done, events))
    }

    /// Does what is always reported, and waits for the report: records keep their order, and
    /// critical ones are never told late, so that whatever happened before has been reported by then.
    ///
    /// A new directory each time: the same act again would be counted with the one before.
    fn light(&self, evidence: &Evidence, after: u64) -> Result<u64> {
        let ended = self.0.sh("d=$(mktemp -d) && ! mount -t tmpfs x $d")?;
        ensure!(ended.well(), "the beacon does not burn: {}", ended.said);
        let event = evidence.await_one(after, "the beacon's", |event| {
            event.text("rule") == "BH-MNT-001" && is_of(event, &self.0)
        })?;
        Ok(event.sequence())
    }
}

/// Whether this container is the actor.
#[must_use]
pub fn is_of(event: &Event, container: &Container) -> bool {
    event.text("actor.container.id") == container.id
}
