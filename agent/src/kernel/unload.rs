//! The end: everything that an agent has left in the kernel is taken out of it.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use aya::programs::{ProgramError, links::PinnedLink, loaded_programs};
use serde::Serialize;

use super::{
    account, load,
    pins::{self, BPFFS, ENDING, PinError, Pins},
    version,
};

/// How long the kernel may take to let programs go.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Removed {
    /// Programs, by the name of their link.
    pub(crate) programs: Vec<String>,
    /// Maps, by name.
    pub(crate) maps: Vec<String>,
    /// What became of the programs.
    pub(crate) left: Left,
}

/// Whether the kernel still has programs of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Left {
    /// None.
    #[default]
    Nothing,
    /// These, by number: another process holds them.
    Programs(Vec<u32>),
    /// The kernel does not let this process look.
    Unknown,
}

/// Removes everything, unless an agent runs.
pub(crate) fn unload() -> Result<Removed, PinError> {
    let mut removed = Removed::default();
    let mut ids = BTreeSet::new();
    if let Some(pins) = Pins::existing()? {
        for programs in pins.programs()? {
            note_programs(&programs.path, &mut ids);
            let names = pins::remove_directory(&programs.path)?;
            let kept = |name: &String| name != account::FILE && name != load::ADOPTION;
            removed.programs.extend(names.into_iter().filter(kept));
        }
        if pins.maps().exists() {
            let files = pins::remove_directory(&pins.maps())?;
            removed.maps.extend(files.iter().map(|file| version::name_of(file).to_owned()));
        }
        fs::remove_dir(pins.root()).map_err(pins::failed("remove", pins.root()))?;
    }
    for name in endings()? {
        let path = Path::new(BPFFS).join(&name);
        note_program(&path, &mut ids);
        fs::remove_file(&path).map_err(pins::failed("remove", &path))?;
        removed.programs.push(name);
    }
    removed.left = wait_for_end(&ids);
    Ok(removed)
}

/// Links that an agent was letting go when it was killed.
fn endings() -> Result<Vec<String>, PinError> {
    let bpffs = Path::new(BPFFS);
    let names = if bpffs.exists() { pins::names(bpffs)? } else { Vec::new() };
    Ok(names.into_iter().filter(|name| name.starts_with(ENDING)).collect())
}

fn note_programs(directory: &Path, ids: &mut BTreeSet<u32>) {
    for name in pins::names(directory).unwrap_or_default() {
        if name != account::FILE {
            note_program(&directory.join(name), ids);
        }
    }
}

/// The number of a link's program: what cannot be asked is not waited for, and removed all the same.
fn note_program(path: &Path, ids: &mut BTreeSet<u32>) {
    match PinnedLink::from_pin(path)
        .and_then(|link| aya::programs::links::FdLink::from(link).info())
    {
        Ok(info) => drop(ids.insert(info.program_id())),
        Err(error) => tracing::debug!(%error, path = %path.display(), "not a link"),
    }
}

/// The kernel lets programs go some time after their last holder has.
fn wait_for_end(ids: &BTreeSet<u32>) -> Left {
    let begun = Instant::now();
    loop {
        let mut left = Vec::new();
        for program in loaded_programs() {
            match program {
                Ok(info) if ids.contains(&info.id()) => left.push(info.id()),
                Ok(_) => {}
                // Between its number and its turn: one less.
                Err(ProgramError::SyscallError(error))
                    if error.io_error.kind() == ErrorKind::NotFound => {}
                Err(_) => return if ids.is_empty() { Left::Nothing } else { Left::Unknown },
            }
        }
        if left.is_empty() {
            return Left::Nothing;
        }
        if begun.elapsed() > PATIENCE {
            return Left::Programs(left);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
