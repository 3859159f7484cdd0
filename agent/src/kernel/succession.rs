//! One build of the kernel side after another, without a gap.
//!
//! ```text
//! nothing there      load, attach, pin
//! the same build     go on with its programs and maps: nothing is loaded
//! another build      load the new programs, on the same maps where they are the same; they wait.
//!                    Fill what is new. Then say that they lead, and let the old ones go.
//! ```
//!
//! The steps are in such an order that an agent which is killed between any two of them leaves
//! programs that decide, and the next agent begins where it finds things.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::maps::{Array, Map, MapData};
use bulkhead_abi::STATE_GENERATION;

use super::{
    Guard, LoadError, MapError, Records, account,
    guard::{Hold, OBJECT, map_error},
    ladder::Ladder,
    lineage,
    load::{self, Loaded, Maps, Placement},
    memory::Memory,
    pins::{self, Pins, Programs},
    version,
};

/// How an agent came to the programs that it goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// There were none.
    First,
    /// They were there.
    Adopted,
    /// Others were there.
    Replaced,
}

/// What is pinned, and what of it must still go.
pub(super) struct Succession {
    pins: Pins,
    number: u32,
    start: Start,
    /// Where the links are.
    directory: PathBuf,
    /// The maps' files that are in use.
    files: Vec<String>,
    pub(super) memory: Memory,
    leads: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Succeeded {
    /// How the agent came to the programs.
    pub(crate) start: Start,
    /// Their number since boot.
    pub(crate) number: u32,
    /// What could not be taken over from the build before.
    pub(crate) left_behind: Vec<String>,
}

impl Succession {
    /// The file of an iterator.
    pub(super) fn iterator(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Succession {
    /// Programs that never led are in nobody's way, and of no use.
    fn drop(&mut self) {
        if !self.leads {
            clear(&self.directory);
        }
    }
}

impl Guard {
    /// Goes on with what is pinned, or replaces it. What is new waits for [`Self::lead`]. `mark`:
    /// see [`version::build`].
    pub(crate) fn start(pins: Pins, mark: &str) -> Result<Self, LoadError> {
        let build = version::build(OBJECT, mark);
        let mut newest = None;
        let mut highest = 0;
        for programs in pins.programs()? {
            highest = highest.max(programs.number);
            if programs.loading {
                clear(&programs.path);
            } else if newest.is_none() {
                newest = Some(programs);
            }
        }
        match newest {
            Some(programs) if programs.build == build => match found(&pins, &programs) {
                Ok(found) => Self::go_on(pins, programs, found),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "what is pinned cannot be gone on with: it is replaced");
                    Self::replace(pins, highest + 1, &build, Start::Replaced)
                }
            },
            Some(_) => Self::replace(pins, highest + 1, &build, Start::Replaced),
            None => Self::replace(pins, highest + 1, &build, Start::First),
        }
    }

    fn go_on(pins: Pins, programs: Programs, found: Found) -> Result<Self, LoadError> {
        let memory = Memory::open(&pins.maps())?;
        let succession = Succession {
            pins,
            number: programs.number,
            start: Start::Adopted,
            directory: programs.path,
            files: found.files,
            memory,
            leads: true,
        };
        let mut maps = found.maps;
        let state = maps.take("STATE")?;
        Self::assemble(maps, state, found.ladder, Hold::Pinned(Box::new(succession)))
    }

    fn replace(pins: Pins, number: u32, build: &str, start: Start) -> Result<Self, LoadError> {
        let mut files = Vec::new();
        let mut placement = Placement { generation: number, maps: Vec::new() };
        for map in version::maps(OBJECT)? {
            placement.maps.push((map.name, pins.maps().join(&map.file)));
            files.push(map.file);
        }
        files.extend(Memory::files());
        let directory = pins.begin(number, build)?;
        let memory = Memory::open(&pins.maps())?;
        let succession = Succession { pins, number, start, directory, files, memory, leads: false };
        let Loaded { mut ebpf, maps, state, mut links, ladder } = load::load(&placement)?;
        load::hold_adoption(&mut ebpf, load::ADOPTION, &mut links)?;
        lineage::hold(&ladder.lineage, &mut ebpf, &mut links)?;
        links.pin(&succession.directory)?;
        account::keep(&ladder, &succession.directory)?;
        Self::assemble(maps, state, ladder, Hold::Pinned(Box::new(succession)))
    }

    /// From now on these programs decide, and those before them go. Call it when every map is
    /// filled. `None`: nothing is pinned, and there is nobody to relieve.
    pub(crate) fn lead(&mut self) -> Result<Option<Succeeded>, LoadError> {
        let Hold::Pinned(succession) = &mut self.hold else { return Ok(None) };
        if !succession.leads {
            succession.directory = succession.pins.finish(&succession.directory)?;
            succession.leads = true;
        }
        let (number, start) = (succession.number, succession.start);
        let maps = succession.pins.maps();
        let stale: Vec<String> = pins::names(&maps)?
            .into_iter()
            .filter(|file| !succession.files.contains(file))
            .collect();
        let relieved: Vec<Programs> = succession
            .pins
            .programs()?
            .into_iter()
            .filter(|programs| programs.number != number)
            .collect();
        for file in stale.iter().filter(|file| version::name_of(file) == "STATE") {
            // The programs before count and tell by their own state map: they stop.
            set_generation(&mut open_state(&maps.join(file))?, number)?;
        }
        set_generation(&mut self.state, number)?;
        for programs in relieved {
            pins::remove_directory(&programs.path)?;
        }
        let mut left_behind = Vec::new();
        for file in stale {
            left_behind.extend(self.take_over(&maps.join(&file), &file)?);
            fs::remove_file(maps.join(&file))
                .map_err(|source| pins::failed("remove", &maps.join(&file))(source))?;
        }
        Ok(Some(Succeeded { start, number, left_behind }))
    }

    /// What of a map that nobody fills any more goes on, and a word on what does not.
    fn take_over(&mut self, path: &Path, file: &str) -> Result<Option<String>, LoadError> {
        let unread =
            |source| LoadError::Succession(map_error("read a map of the build before")(source));
        match version::name_of(file) {
            "COUNTS" => {
                let now = self.count_file();
                let map = Map::from_map_data(MapData::from_pin(path).map_err(unread)?);
                let map = map.map_err(unread)?;
                if !now.is_some_and(|now| version::same_entries(file, &now)) {
                    return Ok(Some("the counts, which it kept in another form".to_owned()));
                }
                let counts: aya::maps::HashMap<MapData, bulkhead_abi::CountKey, u64> =
                    map.try_into().map_err(unread)?;
                for entry in counts.iter() {
                    let (key, count) = entry.map_err(unread)?;
                    self.add_to_total(&key, count)?;
                }
                Ok(None)
            }
            "EVENTS" | "CRITICAL" => {
                let map = Map::from_map_data(MapData::from_pin(path).map_err(unread)?);
                let ring = map.and_then(TryInto::try_into).map_err(unread)?;
                let records = Records::new(ring).drain(|_| ());
                Ok((records > 0).then(|| format!("{records} records that nobody had read")))
            }
            _ => Ok(None),
        }
    }

    fn count_file(&self) -> Option<String> {
        let Hold::Pinned(succession) = &self.hold else { return None };
        succession.files.iter().find(|file| version::name_of(file) == "COUNTS").cloned()
    }
}

/// Everything that it takes to go on with programs that are attached.
struct Found {
    maps: Maps,
    files: Vec<String>,
    ladder: Ladder,
}

fn found(pins: &Pins, programs: &Programs) -> Result<Found, LoadError> {
    let directory = pins.maps();
    let ladder = account::read(&programs.path)?;
    let mut files = pins::names(&directory)?;
    let mut maps: Vec<&str> = files.iter().map(|file| version::name_of(file)).collect();
    maps.dedup();
    if maps.len() != files.len() {
        // An agent was killed while it tidied up: the object says which ones are in use.
        files = version::maps(OBJECT)?.into_iter().map(|map| map.file).collect();
        files.extend(Memory::files());
    }
    let named = |file: &String| (version::name_of(file).to_owned(), directory.join(file));
    let maps = Maps::pinned(&files.iter().map(named).collect::<Vec<_>>())
        .map_err(map_error("open a pinned map"))?;
    Ok(Found { maps, files, ladder })
}

fn open_state(path: &Path) -> Result<Array<MapData, u64>, MapError> {
    let open = || Map::from_map_data(MapData::from_pin(path)?)?.try_into();
    open().map_err(map_error("open the state of the build before"))
}

fn set_generation(state: &mut Array<MapData, u64>, number: u32) -> Result<(), MapError> {
    state.set(STATE_GENERATION, u64::from(number), 0).map_err(map_error("say who leads"))
}

/// Removes programs that do not lead. They wait and decide nothing: what is left of them is told,
/// and nobody's harm.
fn clear(directory: &Path) {
    if let Err(error) = pins::remove_directory(directory) {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "programs that never led are left behind");
    }
}
