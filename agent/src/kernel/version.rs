//! Which build of the kernel side is which, and which maps of another one it can go on with.
//!
//! A pinned map's file says what it is: name, version of its meaning, kind and sizes. A build that
//! wants the same finds it there and goes on with what is in it; a build that wants another makes
//! its own beside it.

use sha2::{Digest, Sha256};

use super::hooks::{CGROUP_RULES, HOOKS, SUBSTITUTES};

/// Maps whose contents mean something else than they once did, with the number of the meaning.
/// Raise it (from 1) when the fields of a key or value change their places or their sense while
/// their sizes stay; a change of size or kind is seen by itself. `STATE` must never change: its
/// words are how one build hands over to another.
const MEANINGS: &[(&str, u32)] = &[];

/// A map of the kernel side that outlives the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PinnedMap {
    /// Its name in the object.
    pub(super) name: String,
    /// The name of its file.
    pub(super) file: String,
}

/// The object could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the agent's own kernel side cannot be read: {0}")]
pub(crate) struct ObjectError(String);

/// The name of this build: the same for the same programs attached in the same way. `mark` makes
/// it another's, for tests.
pub(super) fn build(object: &[u8], mark: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(object);
    hash.update(format!("{HOOKS:?}{SUBSTITUTES:?}{CGROUP_RULES:?}{MEANINGS:?}{mark}"));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The object's maps, but for the constants of one load.
pub(super) fn maps(object: &[u8]) -> Result<Vec<PinnedMap>, ObjectError> {
    let object =
        aya_obj::Object::parse(object).map_err(|error| ObjectError(format!("{error:?}")))?;
    let mut maps: Vec<PinnedMap> = object
        .maps
        .iter()
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, map)| PinnedMap { name: name.clone(), file: file_of(name, map) })
        .collect();
    maps.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(maps)
}

/// The file of a map. Names on a BPF file system have no dots.
pub(super) fn file_of(name: &str, map: &aya_obj::Map) -> String {
    let meaning = MEANINGS.iter().find(|(changed, _)| *changed == name).map_or(1, |(_, to)| *to);
    format!(
        "{name}-{meaning}-{}-{}-{}-{}-{}",
        map.map_type(),
        map.key_size(),
        map.value_size(),
        map.max_entries(),
        map.map_flags()
    )
}

/// Whether the entries of the map in file `old` can be read as those of the map in file `new`:
/// everything but the room and the flags is the same.
pub(super) fn same_entries(old: &str, new: &str) -> bool {
    let entries = |file: &str| file.rsplitn(3, '-').nth(2).map(str::to_owned);
    entries(old).is_some() && entries(old) == entries(new)
}

/// The map that a file is of.
pub(super) fn name_of(file: &str) -> &str {
    file.split('-').next().unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::guard::OBJECT;

    #[test]
    fn a_build_is_known_again_and_told_from_another() {
        assert_eq!(build(OBJECT, ""), build(OBJECT, ""));
        assert_ne!(build(OBJECT, ""), build(OBJECT, "next"));
        assert_ne!(build(OBJECT, ""), build(&OBJECT[1..], ""));
    }

    #[test]
    fn every_map_has_a_file_that_says_what_it_is() {
        let maps = maps(OBJECT).unwrap();
        let file = |name: &str| maps.iter().find(|map| map.name == name).unwrap().file.clone();
        assert_eq!(file("STATE"), "STATE-1-2-4-8-8-0", "one build hands over to another by it");
        assert!(maps.iter().all(|map| !map.file.contains('.')), "{maps:?}");
        assert!(!maps.iter().any(|map| map.name.contains("rodata")));
        assert_eq!(name_of(&file("TASKS")), "TASKS");
    }

    #[test]
    fn entries_are_the_same_where_only_the_room_differs() {
        assert!(same_entries("COUNTS-1-1-24-8-65536-1", "COUNTS-1-1-24-8-1024-0"));
        assert!(!same_entries("COUNTS-1-1-24-8-65536-1", "COUNTS-2-1-24-8-65536-1"));
        assert!(!same_entries("COUNTS-1-1-24-8-65536-1", "COUNTS-1-1-32-8-65536-1"));
    }
}
