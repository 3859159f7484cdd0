//! Records of the kernel side, as another build's programs may write them, with names that workloads chose.

use bulkhead_policy::{
    decode::{Record, decode},
    event::{Architecture, Context, Event, Nobody},
};

/// An act is one line, in JSON and for people, whatever its bytes are.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let act = match decode(bytes) {
        Ok(Record::Act(act)) => act,
        other => return other.is_ok(),
    };
    let context = Context {
        node: "node-1",
        boot: jiff::Timestamp::UNIX_EPOCH,
        architecture: Some(Architecture::X86_64),
        names: &Nobody,
    };
    let event = Event::of_act(&act, &context);
    let line = serde_json::to_string(&event).unwrap();
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line:?}");
    let told = event.to_string();
    assert!(!told.chars().any(char::is_control), "{told:?}");
    true
}
