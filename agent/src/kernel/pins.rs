//! What outlives the agent, on the BPF file system:
//!
//! ```text
//! /sys/fs/bpf/bulkhead/            entered by root alone; locked by the agent that runs
//!   maps/NAME-...                  a map; its file says what it is (version.rs)
//!   programs-NUMBER-BUILD/NAME     the links of one build's programs; `ladder` tells how they hold
//!   loading-NUMBER-BUILD/          the same while they do not lead yet
//! ```
//!
//! What is in `programs-*` is whole: the directory gets that name as the last step.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

/// Where the BPF file system is mounted.
pub(super) const BPFFS: &str = "/sys/fs/bpf";
/// Everything of ours, below it.
const DIRECTORY: &str = "bulkhead";
const MAPS: &str = "maps";
const WHOLE: &str = "programs-";
const LOADING: &str = "loading-";
/// Links that an agent was letting go when it was killed (links.rs).
pub(super) const ENDING: &str = "bulkhead-ending-";

/// Why nothing can be pinned, or somebody else has.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinError {
    /// There is no BPF file system, and none can be mounted.
    #[error("there is no BPF file system at {BPFFS}: {0}. Mount it (mount -t bpf bpf {BPFFS})")]
    NoFileSystem(String),
    /// An agent runs.
    #[error("a bulkhead agent runs here: it holds {0}")]
    Running(PathBuf),
    /// A file or directory could not be made, read, moved or removed.
    #[error("cannot {action} {path}")]
    File {
        /// What failed.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The programs of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    /// Counts the builds since boot: the highest one leads.
    pub(super) number: u32,
    /// See `version.rs`.
    pub(super) build: String,
    /// Whether they were left before they led.
    pub(super) loading: bool,
    /// Their directory.
    pub(super) path: PathBuf,
}

/// Our directory, for this process alone.
#[derive(Debug)]
pub(crate) struct Pins {
    root: PathBuf,
    // The lock belongs to the open directory and ends with this process.
    _locked: File,
}

impl Pins {
    /// Opens the directory of this machine, which is made if it is not there.
    pub(crate) fn open() -> Result<Self, PinError> {
        have_file_system()?;
        let root = Path::new(BPFFS).join(DIRECTORY);
        make(&root)?;
        let pins = Self { _locked: lock(&root)?, root };
        make(&pins.maps())?;
        Ok(pins)
    }

    /// The same for what is to be removed; `None` where nothing is there.
    pub(crate) fn existing() -> Result<Option<Self>, PinError> {
        let root = Path::new(BPFFS).join(DIRECTORY);
        if !root.exists() {
            return Ok(None);
        }
        Ok(Some(Self { _locked: lock(&root)?, root }))
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of maps.
    pub(super) fn maps(&self) -> PathBuf {
        self.root.join(MAPS)
    }

    /// The programs that are there, the newest first.
    pub(super) fn programs(&self) -> Result<Vec<Programs>, PinError> {
        let mut found: Vec<Programs> = names(&self.root)?
            .iter()
            .filter_map(|name| programs_of(name, self.root.join(name)))
            .collect();
        found.sort_by_key(|programs| std::cmp::Reverse(programs.number));
        Ok(found)
    }

    /// A directory for the links of programs that are being loaded.
    pub(super) fn begin(&self, number: u32, build: &str) -> Result<PathBuf, PinError> {
        let path = self.root.join(format!("{LOADING}{number}-{build}"));
        make(&path)?;
        Ok(path)
    }

    /// Says that the programs in a directory of [`Self::begin`]'s are whole and lead.
    pub(super) fn finish(&self, loading: &Path) -> Result<PathBuf, PinError> {
        let name = loading.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let whole = self.root.join(name.replacen(LOADING, WHOLE, 1));
        fs::rename(loading, &whole).map_err(failed("rename", loading))?;
        Ok(whole)
    }
}

/// Removes a directory of pinned objects. What nothing else holds is let go by the kernel.
pub(super) fn remove_directory(path: &Path) -> Result<Vec<String>, PinError> {
    let removed = names(path)?;
    for name in &removed {
        let file = path.join(name);
        fs::remove_file(&file).map_err(failed("remove", &file))?;
    }
    fs::remove_dir(path).map_err(failed("remove", path))?;
    Ok(removed)
}

/// The names in a directory, in order.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, PinError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
        let entry = entry.map_err(failed("read", directory))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

pub(super) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> PinError + use<'a> {
    move |source| PinError::File { action, path: path.to_owned(), source }
}

fn programs_of(name: &str, path: PathBuf) -> Option<Programs> {
    let (rest, loading) = match name.strip_prefix(WHOLE) {
        Some(rest) => (rest, false),
        None => (name.strip_prefix(LOADING)?, true),
    };
    let (number, build) = rest.split_once('-')?;
    Some(Programs { number: number.parse().ok()?, build: build.to_owned(), loading, path })
}

/// Makes a directory for root alone. One that is there is ours: only root can make one here.
fn make(path: &Path) -> Result<(), PinError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(failed("make", path)),
    }
}

fn lock(root: &Path) -> Result<File, PinError> {
    let directory = File::open(root).map_err(failed("open", root))?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(TryLockError::WouldBlock) => Err(PinError::Running(root.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed("lock", root)(source)),
    }
}

/// Sees to it that there is a BPF file system. One that is mounted where only this process's pod
/// sees it would end with the pod, so that none is mounted there.
fn have_file_system() -> Result<(), PinError> {
    let refused = |why: String| PinError::NoFileSystem(why);
    let is_there = || statfs(BPFFS).map(|found| found.filesystem_type() == BPF_FS_MAGIC);
    match is_there() {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(error) => return Err(refused(error.to_string())),
    }
    let namespace = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/mnt")).map(|file| file.ino());
    match (namespace("self"), namespace("1")) {
        (Ok(own), Ok(node)) if own == node => {}
        _ => {
            return Err(refused("it is not mounted, and this is not the node's mount tree".into()));
        }
    }
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), Some("mode=700"))
        .map_err(|error| refused(format!("it is not mounted, and cannot be: {error}")))?;
    tracing::info!("mounted the BPF file system at {BPFFS}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_s_name_says_whose_programs_are_in_it() {
        let found = |name| programs_of(name, PathBuf::from(name));
        let programs = found("programs-12-00ff").unwrap();
        assert_eq!(
            (programs.number, programs.build.as_str(), programs.loading),
            (12, "00ff", false)
        );
        assert!(found("loading-3-00ff").unwrap().loading);
        for name in ["maps", "programs-x-00ff", "programs-12", "bulkhead-ending-1-2"] {
            assert_eq!(found(name), None, "{name}");
        }
    }
}
