//! The files of captures: written whole, kept in a bounded number.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::node::instance::make_directory;

const BEGINNING: &str = "capture-";
const END: &str = ".json";

/// A directory of captures.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    keep: Arc<AtomicUsize>,
}

/// A capture that is on disk.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
}

impl Store {
    pub(super) fn new(directory: PathBuf, keep: Arc<AtomicUsize>) -> Self {
        Self { directory, keep }
    }

    /// Writes one, and removes the oldest beyond what is kept.
    pub(super) fn write(
        &self,
        since: Timestamp,
        cgroup: u64,
        text: &[u8],
    ) -> anyhow::Result<Written> {
        make_directory(&self.directory)?;
        // Names sort in the order of their times.
        let stamp = since.strftime("%Y%m%dT%H%M%S");
        let micros = since.subsec_microsecond();
        let name = format!("{BEGINNING}{stamp}.{micros:06}-{cgroup}{END}");
        let path = self.directory.join(name);
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&path)?;
        File::open(&self.directory)?.sync_all()?;
        self.remove_oldest()?;
        Ok(Written { path, sha256: format!("{:x}", Hex(&Sha256::digest(text))) })
    }

    fn remove_oldest(&self) -> io::Result<()> {
        let mut names: Vec<PathBuf> = fs::read_dir(&self.directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?;
        names.retain(|path| is_capture(path));
        names.sort();
        let keep = self.keep.load(Ordering::Relaxed);
        let beyond = names.len().saturating_sub(keep);
        names.iter().take(beyond).try_for_each(fs::remove_file)
    }
}

fn is_capture(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with(BEGINNING) && name.ends_with(END)
}

/// Bytes in hexadecimal.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_root_s_alone_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let captures = directory.path().join("captures");
        let store = Store::new(captures.clone(), Arc::new(AtomicUsize::new(2)));
        fs::create_dir(&captures).unwrap();
        fs::write(captures.join("notes.txt"), "mine").unwrap();
        for second in 1..=4 {
            let since = Timestamp::from_second(second).unwrap();
            let written = store.write(since, 42, b"abc").unwrap();
            let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            assert_eq!(written.sha256, known);
            let mode = fs::metadata(&written.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let mut names: Vec<_> = fs::read_dir(&captures)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = [
            "capture-19700101T000003.000000-42.json",
            "capture-19700101T000004.000000-42.json",
            "notes.txt",
        ];
        assert_eq!(names, expected);
    }
}
