//! What processes executed, and the acts that it explains.

use bulkhead_policy::event::{Event, Kind, Malformed};

use crate::{lineage::Lineages, workloads::Workloads};

/// Fills in the lineage of an act that was just made an event. What its actor and those above it have
/// executed was recorded before: it is there now. What of that could not be read is returned.
pub(super) fn name(
    lineages: &mut Lineages,
    workloads: &Workloads,
    event: &mut Event,
) -> Vec<Malformed> {
    let malformed = lineages.drain();
    if let Kind::Act(act) = &mut event.kind {
        act.lineage.fill(&lineages.names(workloads));
    }
    malformed.into_iter().map(|(error, length)| Malformed::new(&error, length)).collect()
}
