//! From the kernel's records to events: decode, name, hand on. And from the kernel's counts to what
//! was repeated, and what was lost on the way.

mod doubt;
mod loss;
mod recorder;
mod repeats;

use std::os::fd::{AsFd, OwnedFd};

use bulkhead_abi::ActKey;
use bulkhead_policy::{
    decode::{self, Record},
    event::{Architecture, Context, Event, Kind, Malformed, Names},
};
use jiff::Timestamp;

pub(crate) use doubt::{Doubt, Waiting};
pub(crate) use loss::{Losses, loss};
pub(crate) use recorder::Recorder;
pub(crate) use repeats::{Reading, Repeated};

use crate::kernel::Verdicts;

/// The reading end of the verdicts, and what it takes to tell them.
pub(crate) struct Watch {
    records: Verdicts,
    node: String,
    boot: Timestamp,
    recorder: Option<Recorder>,
}

/// What tells an act from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sign {
    /// What its repeats are counted by.
    pub(crate) key: ActKey,
    /// When it was, in nanoseconds since boot.
    pub(crate) time: u64,
    /// The task that acted.
    pub(crate) task: u32,
}

/// What one look at the rings brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Records that were there.
    pub(crate) events: u64,
    /// Those that were acts; the others could not be read.
    pub(crate) acts: u64,
}

impl Watch {
    /// A watch over these rings. `boot` is the wall clock's time at boot.
    pub(crate) fn new(records: Verdicts, node: &str, boot: Timestamp) -> Self {
        Self { records, node: node.to_owned(), boot, recorder: None }
    }

    /// Keeps a copy of every record as it came.
    pub(crate) fn record_to(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// What becomes readable when the kernel side wakes its reader: at once for what is critical.
    pub(crate) fn wake(&self) -> std::io::Result<OwnedFd> {
        self.records.as_fd().try_clone_to_owned()
    }

    /// This node's name.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// The wall clock was set: the time at boot is another now.
    pub(crate) fn set_boot(&mut self, boot: Timestamp) {
        self.boot = boot;
    }

    /// The wall clock's time at boot.
    pub(crate) fn boot(&self) -> Timestamp {
        self.boot
    }

    /// Makes events of one turn of records: all that are critical, and some of the others; none
    /// means that none is left. What cannot be read becomes an event too. A record leaves its ring when
    /// `take` has returned.
    pub(crate) fn turn(
        &mut self,
        names: &dyn Names,
        mut take: impl FnMut(Event, Option<Sign>),
    ) -> Drained {
        let context = Context {
            node: &self.node,
            boot: self.boot,
            architecture: Architecture::of_this_build(),
            names,
        };
        let mut drained = Drained::default();
        let recorder = &mut self.recorder;
        self.records.turn(|bytes| {
            if let Some(recorder) = recorder {
                recorder.keep(bytes);
            }
            let (event, sign) = to_event(bytes, &context);
            drained.events += 1;
            drained.acts += u64::from(sign.is_some());
            take(event, sign);
        });
        drained
    }
}

/// One record, told. Pure: the replay tests call it with recorded bytes.
pub(crate) fn to_event(bytes: &[u8], context: &Context<'_>) -> (Event, Option<Sign>) {
    let malformed =
        |part| (Event::new(Timestamp::now(), context.node, Kind::Malformed(part)), None);
    match decode::decode(bytes) {
        Ok(Record::Act(act)) => {
            let sign = Sign { key: act.key(), time: act.decision.time, task: act.actor.tid };
            (Event::of_act(&act, context), Some(sign))
        }
        Ok(Record::CgroupMade(_) | Record::CgroupGone(_) | Record::Executed(_)) => {
            malformed(Malformed {
                reason: "wrong_ring",
                message: "a lifecycle record came through the ring of verdicts".to_owned(),
                length: bytes.len(),
            })
        }
        Err(error) => malformed(Malformed::new(&error, bytes.len())),
    }
}
