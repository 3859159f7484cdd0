//! Bytes that no kernel side of this build would write. Any bytes at all are for the fuzz target
//! `kernel_record`.

use bulkhead_abi as abi;
use bulkhead_policy::{
    decode::{DecodeError, Record, decode},
    event::Nobody,
};
use proptest::prelude::*;

use crate::records::{ACME, header, kubelet, lone, on_task, one_of_each, shell};

fn lone_with(change: impl Fn(&mut abi::Header)) -> Result<Record, DecodeError> {
    let mut header = header(abi::Kind::Lone, abi::Rule::Bpf);
    change(&mut header);
    decode(&lone(header, kubelet()))
}

fn unknown(field: &'static str, byte: u8) -> DecodeError {
    DecodeError::UnknownValue { field, byte }
}

#[test]
fn a_short_record_says_what_it_lacks() {
    let bytes = lone(header(abi::Kind::Lone, abi::Rule::Bpf), kubelet());
    assert_eq!(
        decode(&bytes[..71]).unwrap_err(),
        DecodeError::TooShort { kind: "header", need: 72, have: 71 }
    );
    let error = decode(&bytes[..bytes.len() - 1]).unwrap_err();
    let (need, have) = (bytes.len(), bytes.len() - 1);
    assert_eq!(error, DecodeError::TooShort { kind: "lone", need, have });
    assert_eq!(
        error.to_string(),
        format!("a record of kind `lone` needs {need} bytes and has {have}")
    );
}

#[test]
fn each_unknown_number_is_named_with_its_field() {
    assert_eq!(lone_with(|it| it.kind = 9).unwrap_err(), DecodeError::UnknownKind(9));
    assert_eq!(lone_with(|it| it.rule = 0).unwrap_err(), DecodeError::UnknownRule(0));
    assert_eq!(lone_with(|it| it.rule = 999).unwrap_err(), DecodeError::UnknownRule(999));
    assert_eq!(lone_with(|it| it.verdict = 200).unwrap_err(), unknown("verdict", 200));
    assert_eq!(lone_with(|it| it.relation = 201).unwrap_err(), unknown("relation", 201));
    assert_eq!(lone_with(|it| it.effect = 202).unwrap_err(), unknown("effect", 202));
    assert_eq!(lone_with(|it| it.phase = 203).unwrap_err(), unknown("phase", 203));
    assert_eq!(lone_with(|it| it.rung = 204).unwrap_err(), unknown("rung", 204));
}

#[test]
fn a_path_cannot_begin_beyond_its_buffer() {
    let (mut actor, target) = (shell(ACME, 1), shell(ACME, 2));
    let head = header(abi::Kind::OnTask, abi::Rule::Signal);
    actor.path_start = 257;
    let error = decode(&on_task(head, target, actor)).unwrap_err();
    assert_eq!(error, DecodeError::PathStart { of: "actor", start: 257 });
    let error = decode(&on_task(head, actor, target)).unwrap_err();
    assert_eq!(error, DecodeError::PathStart { of: "target", start: 257 });
    actor.path_start = 256;
    assert!(decode(&on_task(head, actor, target)).is_ok(), "an empty path is no error");
}

#[test]
fn bytes_after_a_record_are_ignored() {
    for mut bytes in one_of_each() {
        bytes.extend_from_slice(&[0xff; 9]);
        assert!(decode(&bytes).is_ok());
    }
}

proptest! {
    #[test]
    fn a_cut_record_is_an_error_and_never_another_record(
        which in 0..3usize,
        part in 0.0..1.0f64,
    ) {
        let whole = one_of_each().swap_remove(which);
        let cut = (whole.len() as f64 * part) as usize;
        let too_short = matches!(decode(&whole[..cut]), Err(DecodeError::TooShort { .. }));
        prop_assert!(too_short);
    }

    #[test]
    fn a_record_with_flipped_bits_is_an_error_or_one_whole_line(
        which in 0..3usize,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u32), 1..40),
    ) {
        let mut bytes = one_of_each().swap_remove(which);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(Record::Act(_)) = decode(&bytes) {
            let event = crate::event(&bytes, &Nobody);
            let line = serde_json::to_string(&event).unwrap();
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
            prop_assert!(!event.to_string().chars().any(char::is_control));
        }
    }
}
