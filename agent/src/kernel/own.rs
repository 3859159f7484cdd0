//! Tells the kernel side what is the agent's own.

use std::{collections::BTreeSet, io};

use bulkhead_abi::{OwnFile, STATE_AGENT, STATE_OWN_DEVICES, own_device, own_process};
use nix::sys::statfs::BTRFS_SUPER_MAGIC;
use procfs::process::Process;

use super::{Guard, LoadError, MapError, guard::map_error};

impl Guard {
    /// Says which process the agent is.
    pub(super) fn say_who(&mut self) -> Result<(), LoadError> {
        let started = Process::myself().and_then(|process| process.stat());
        let ticks = started.map_err(|error| LoadError::Itself(io::Error::other(error)))?.starttime;
        let word = own_process(std::process::id(), ticks);
        self.state.set(STATE_AGENT, word, 0).map_err(map_error("say which process this is"))?;
        Ok(())
    }

    /// Says which files and directories are the agent's, from now on these alone. It is not an
    /// interruption: what was on the list and still is stays on it.
    pub(crate) fn protect(&mut self, files: &[OwnFile]) -> Result<(), MapError> {
        for file in files {
            self.own.insert(file, 1, 0).map_err(map_error("set a file of the agent's"))?;
        }
        let devices = files.iter().fold(0, |bits, file| bits | own_device(file.device));
        self.state.set(STATE_OWN_DEVICES, devices, 0).map_err(map_error("set the state"))?;
        let keys: Result<Vec<OwnFile>, _> = self.own.keys().collect();
        let keys = keys.map_err(map_error("read the agent's files"))?;
        for stale in keys.iter().filter(|key| !files.contains(key)) {
            self.own.remove(stale).map_err(map_error("forget a file of the agent's"))?;
        }
        Ok(())
    }
}

/// What a file is known by, following links; `None` where there is none.
pub(crate) fn identify(path: &std::path::Path) -> io::Result<Option<OwnFile>> {
    use std::os::unix::fs::MetadataExt;
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if nix::sys::statfs::statfs(path)?.filesystem_type() == BTRFS_SUPER_MAGIC {
        return Err(io::Error::other(
            "it is on btrfs, which tells a device number that the kernel does not know it by",
        ));
    }
    let number = |part: u64| u32::try_from(part).map_err(io::Error::other);
    let major = number(nix::sys::stat::major(about.dev()))?;
    let minor = number(nix::sys::stat::minor(about.dev()))?;
    Ok(Some(OwnFile::new(about.ino(), major, minor)))
}

/// All that can be identified, each once.
pub(crate) fn identify_all<'a>(
    paths: impl IntoIterator<Item = &'a std::path::Path>,
) -> (Vec<OwnFile>, Vec<String>) {
    let mut seen = BTreeSet::new();
    let (mut files, mut failed) = (Vec::new(), Vec::new());
    for path in paths {
        match identify(path) {
            Ok(Some(file)) if seen.insert((file.device, file.inode)) => files.push(file),
            Ok(_) => {}
            Err(error) => failed.push(format!("{}: {error}", path.display())),
        }
    }
    (files, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_what_it_is_and_not_by_its_name() {
        let home = tempfile::tempdir().unwrap();
        let (one, other) = (home.path().join("one"), home.path().join("other"));
        std::fs::write(&one, "").unwrap();
        std::fs::hard_link(&one, &other).unwrap();
        let gone = home.path().join("gone");
        let (files, failed) =
            identify_all([one.as_path(), other.as_path(), gone.as_path(), home.path()]);
        assert_eq!((files.len(), failed.len()), (2, 0), "{files:?}");
        assert_eq!(Some(files[0]), identify(&other).unwrap());
    }
}
