//! Whose turn it is, while the programs of one build relieve those of another.
//!
//! Both are attached for a moment, on the same maps. The kernel runs the newer program of a hook
//! first, and calls no other once one has refused. So the newer one waits until the agent says that
//! it leads: it lets everything pass, and the older one decides, counts and tells. From then on the
//! newer one decides. An older program that is still asked about an act that it must refuse has a
//! newer one before it that was waiting at that moment: it refuses, counts and tells as before. So
//! an act that is refused is refused, counted and told once, whenever the lead changes. What is
//! only watched is left to whoever leads.

use aya_ebpf::Global;

use crate::maps::{STATE, STATE_GENERATION};

/// The number of these programs; set before loading. 0 for programs that nobody relieves.
#[unsafe(no_mangle)]
static GENERATION: Global<u32> = Global::new(0);

/// How these programs stand to the ones that lead.
#[derive(Clone, Copy, PartialEq)]
pub enum Turn {
    /// Not yet: others decide.
    Waits,
    /// These decide.
    Leads,
    /// No longer: these only see to it that nothing slips through at the change.
    Relieved,
}

/// One lookup, for acts that meet a rule alone.
#[inline(always)]
pub fn turn() -> Turn {
    let mine = u64::from(GENERATION.load());
    match STATE.get(STATE_GENERATION) {
        Some(leading) if *leading < mine => Turn::Waits,
        Some(leading) if *leading > mine => Turn::Relieved,
        _ => Turn::Leads,
    }
}
