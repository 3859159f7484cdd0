//! Records of the kernel side, from their bytes to the lines of the evidence log, without a kernel.
//!
//! `BULKHEAD_BLESS=1 cargo test -p bulkhead-policy --test replay` writes the expected lines anew;
//! read the difference before committing it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows these in test functions; the helpers here are their parts"
)]

#[path = "replay/golden.rs"]
mod golden;
#[path = "replay/hostile.rs"]
mod hostile;
#[path = "replay/recorded.rs"]
mod recorded;
#[path = "replay/records.rs"]
mod records;

use bulkhead_policy::{
    decode::{self, Record},
    event::{Architecture, Context, Event, Names},
};

/// The whole way: bytes, record, event.
fn event(bytes: &[u8], names: &dyn Names) -> Event {
    let Record::Act(act) = decode::decode(bytes).unwrap() else {
        panic!("not the record of an act");
    };
    let context = Context {
        node: "node-1",
        boot: "2026-11-23T08:00:00Z".parse().unwrap(),
        architecture: Some(Architecture::X86_64),
        names,
    };
    let mut event = Event::of_act(&act, &context);
    event.meta.sequence = 1;
    event
}
