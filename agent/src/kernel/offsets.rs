//! The kernel side's offsets, looked up in the running kernel and written into the object.

use std::ops::Range;

use bulkhead_abi::{ABSENT, OFFSETS, Offset, PLACE_IMMEDIATE, PLACE_LOAD};
use object::{Object as _, ObjectSection as _, SectionKind};

use super::btf::Btf;

/// Bytes of an instruction (linux/bpf.h: struct bpf_insn): code, registers, offset, immediate.
const INSTRUCTION: usize = 8;
/// uapi/linux/bpf.h: BPF_ALU64 | BPF_MOV | BPF_K
const SET: u8 = 0xb7;
/// uapi/linux/bpf.h: BPF_LDX | BPF_MEM of four, two and eight bytes.
const LOADS: [u8; 3] = [0x61, 0x69, 0x79];

/// Every offset of the kernel side in this kernel, in the order of [`OFFSETS`]; the error names what is
/// missing.
pub(crate) fn resolve(btf: &Btf) -> Result<Vec<i32>, Vec<&'static Offset>> {
    let mut values = Vec::with_capacity(OFFSETS.len());
    let mut missing = Vec::new();
    for offset in OFFSETS {
        match btf.offset(offset.structure, offset.member).map(i32::try_from) {
            Some(Ok(value)) => values.push(value),
            None | Some(Err(_)) if offset.optional => values.push(ABSENT),
            None | Some(Err(_)) => missing.push(offset),
        }
    }
    if missing.is_empty() { Ok(values) } else { Err(missing) }
}

/// The object cannot be given these offsets.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// Not an object that this agent can read.
    #[error("the agent's own kernel side cannot be read: {0}")]
    Object(String),
    /// A typed load of a member that this kernel does not have, or has too far away.
    #[error("the kernel side loads {structure}.{member}, which is not within reach of a load here")]
    Reach {
        /// The kernel's struct.
        structure: &'static str,
        /// Its member.
        member: &'static str,
    },
}

/// The object with the offsets in their places.
pub(super) fn place(object: &[u8], offsets: &[i32]) -> Result<Vec<u8>, PlaceError> {
    let mut placed = object.to_vec();
    for range in programs(object)? {
        let instructions = placed.get_mut(range).unwrap_or_default();
        for instruction in instructions.chunks_exact_mut(INSTRUCTION) {
            place_one(instruction, offsets)?;
        }
    }
    Ok(placed)
}

/// Where the instructions are in the object's bytes.
fn programs(object: &[u8]) -> Result<Vec<Range<usize>>, PlaceError> {
    let unreadable = |error: &dyn std::fmt::Display| PlaceError::Object(error.to_string());
    let file = object::File::parse(object).map_err(|error| unreadable(&error))?;
    file.sections()
        .filter(|section| section.kind() == SectionKind::Text)
        .filter_map(|section| section.file_range())
        .map(|(start, size)| {
            let start = usize::try_from(start).map_err(|error| unreadable(&error))?;
            let size = usize::try_from(size).map_err(|error| unreadable(&error))?;
            Ok(start..start + size)
        })
        .collect()
}

fn place_one(instruction: &mut [u8], offsets: &[i32]) -> Result<(), PlaceError> {
    let [code, _, near, far, immediate @ ..] = instruction else { return Ok(()) };
    if *code == SET {
        let Ok(immediate) = <&mut [u8; 4]>::try_from(immediate) else { return Ok(()) };
        let place = i32::from_le_bytes(*immediate).checked_sub(PLACE_IMMEDIATE);
        if let Some((_, offset)) = place.and_then(|place| at(offsets, place)) {
            *immediate = offset.to_le_bytes();
        }
    } else if LOADS.contains(code) {
        let place = i16::from_le_bytes([*near, *far]).checked_sub(PLACE_LOAD);
        if let Some((of, offset)) = place.and_then(|place| at(offsets, i32::from(place))) {
            let reach = i16::try_from(offset).ok().filter(|offset| *offset >= 0);
            let Some(offset) = reach else {
                return Err(PlaceError::Reach { structure: of.structure, member: of.member });
            };
            [*near, *far] = offset.to_le_bytes();
        }
    }
    Ok(())
}

/// The offset with this number, and what it is of.
fn at(offsets: &[i32], place: i32) -> Option<(&'static Offset, i32)> {
    let place = usize::try_from(place).ok()?;
    Some((OFFSETS.get(place)?, *offsets.get(place)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{btf::VMLINUX, guard::OBJECT};

    /// The instructions of an object, as code, offset and immediate.
    fn instructions(object: &[u8]) -> Vec<(u8, i16, i32)> {
        let whole = programs(object)
            .unwrap()
            .into_iter()
            .flat_map(|range| object[range].chunks_exact(INSTRUCTION).collect::<Vec<_>>());
        whole
            .map(|bytes| {
                let offset = i16::from_le_bytes([bytes[2], bytes[3]]);
                (bytes[0], offset, i32::from_le_bytes(bytes[4..].try_into().unwrap()))
            })
            .collect()
    }

    fn is_place(code: u8, offset: i16, immediate: i32) -> bool {
        let places = i32::try_from(OFFSETS.len()).unwrap();
        code == SET && (0..places).contains(&(immediate.wrapping_sub(PLACE_IMMEDIATE)))
            || LOADS.contains(&code) && offset >= PLACE_LOAD
    }

    #[test]
    fn the_running_kernel_has_every_required_member() {
        let Ok(data) = std::fs::read(VMLINUX) else {
            eprintln!("skipped: this kernel has no {VMLINUX}");
            return;
        };
        let values = resolve(&Btf::parse(&data).unwrap());
        assert_eq!(values.map(|values| values.len()), Ok(OFFSETS.len()));
    }

    #[test]
    fn every_place_of_the_object_gets_its_offset_and_nothing_else_changes() {
        let offsets: Vec<i32> = (0..i32::try_from(OFFSETS.len()).unwrap()).map(|n| 3 * n).collect();
        let placed = place(OBJECT, &offsets).unwrap();

        let (before, after) = (instructions(OBJECT), instructions(&placed));
        let mut places = 0;
        for (was, is) in before.iter().zip(&after) {
            if is_place(was.0, was.1, was.2) {
                places += 1;
                if was.0 == SET {
                    assert_eq!((is.1, is.2), (was.1, 3 * (was.2 - PLACE_IMMEDIATE)));
                } else {
                    assert_eq!((is.1, is.2), (3 * (was.1 - PLACE_LOAD), was.2));
                }
            } else {
                assert_eq!(was, is);
            }
        }
        assert!(places > OFFSETS.len());
        assert!(
            !after.iter().any(|(code, offset, immediate)| is_place(*code, *offset, *immediate))
        );
    }

    #[test]
    fn a_typed_load_of_what_is_not_there_is_refused() {
        let absent = vec![ABSENT; OFFSETS.len()];
        assert!(matches!(place(OBJECT, &absent), Err(PlaceError::Reach { .. })));
        assert!(matches!(place(b"no object", &absent), Err(PlaceError::Object(_))));
    }
}
