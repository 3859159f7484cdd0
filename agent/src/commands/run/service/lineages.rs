//! What processes executed, and the acts that it explains.

use bulkhead_policy::event::{Event, Kind, Malformed};
use jiff::Timestamp;

use super::Service;

impl Service {
    /// Fills in the lineages of events that were just made. What an actor and those above it have
    /// executed was recorded before its act: it is there now.
    pub(super) fn name_lineages<'a>(&mut self, events: impl Iterator<Item = &'a mut Event>) {
        for (error, length) in self.lineages.drain() {
            self.metrics.malformed(error.reason());
            let part = Kind::Malformed(Malformed::new(&error, length));
            self.evidence.append(Event::new(Timestamp::now(), self.watch.node(), part));
        }
        let names = self.lineages.names(&self.workloads);
        for event in events {
            if let Kind::Act(act) = &mut event.kind {
                act.lineage.fill(&names);
            }
        }
    }
}
