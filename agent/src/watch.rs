//! From the kernel's records to events: decode, name, hand on. And from the kernel's counts to what
//! was lost on the way.

mod loss;
mod recorder;

use std::os::fd::{AsFd, OwnedFd};

use bulkhead_policy::{
    decode::{self, Record},
    event::{Architecture, Context, Event, Kind, Malformed, Names},
};
use jiff::Timestamp;

pub(crate) use loss::Losses;
pub(crate) use recorder::Recorder;

use crate::kernel::Records;

/// The reading end of the verdicts, and what it takes to tell them.
pub(crate) struct Watch {
    records: Records,
    node: String,
    boot: Timestamp,
    recorder: Option<Recorder>,
}

/// What one look at the ring brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Records that were there.
    pub(crate) events: u64,
    /// Those that were acts; the others could not be read.
    pub(crate) acts: u64,
}

impl Watch {
    /// A watch over this ring. `boot` is the wall clock's time at boot.
    pub(crate) fn new(records: Records, node: &str, boot: Timestamp) -> Self {
        Self { records, node: node.to_owned(), boot, recorder: None }
    }

    /// Keeps a copy of every record as it came.
    pub(crate) fn record_to(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// What becomes readable when the kernel side wakes its reader: at once for refusals.
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

    /// Makes events of all records that are there. What cannot be read becomes an event too.
    pub(crate) fn drain(&mut self, names: &dyn Names, mut take: impl FnMut(Event)) -> Drained {
        let context = Context {
            node: &self.node,
            boot: self.boot,
            architecture: Architecture::of_this_build(),
            names,
        };
        let mut drained = Drained::default();
        let recorder = &mut self.recorder;
        self.records.drain(|bytes| {
            if let Some(recorder) = recorder {
                recorder.keep(bytes);
            }
            let event = to_event(bytes, &context);
            drained.events += 1;
            drained.acts += u64::from(matches!(event.kind, Kind::Act(_)));
            take(event);
        });
        drained
    }
}

/// One record, told. Pure: the replay tests call it with recorded bytes.
pub(crate) fn to_event(bytes: &[u8], context: &Context<'_>) -> Event {
    let malformed = |part| Event::new(Timestamp::now(), context.node, Kind::Malformed(part));
    match decode::decode(bytes) {
        Ok(Record::Act(act)) => Event::of_act(&act, context),
        Ok(Record::CgroupMade(_) | Record::CgroupGone(_)) => malformed(Malformed {
            reason: "wrong_ring",
            message: "a lifecycle record came through the ring of verdicts".to_owned(),
            length: bytes.len(),
        }),
        Err(error) => malformed(Malformed::new(&error, bytes.len())),
    }
}
