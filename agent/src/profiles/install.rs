//! The levels' profiles as files below the kubelet's directory.
//!
//! `bulkhead/LEVEL.json` is today's; `bulkhead/VERSION/LEVEL.json` stays what it was when a later
//! agent replaces the first, for pods that name it. A file is replaced as a whole or not at all: a
//! container that starts meanwhile gets the old one or the new.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use bulkhead_seccomp::levels;
use serde::Serialize;

/// The name below the kubelet's directory.
const BELOW: &str = "bulkhead";

/// A profile on disk.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Installed {
    /// Where.
    pub(crate) path: PathBuf,
    /// Whether it was not there yet, or another.
    pub(crate) written: bool,
}

/// Why a profile could not be put in its place.
#[derive(Debug, thiserror::Error)]
#[error("cannot install the seccomp profile {path}: {source}. {advice}", advice = advice(.source))]
pub(crate) struct InstallError {
    path: PathBuf,
    source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "The directory is read-only here: mount the kubelet's writable, or install from the node"
        }
        io::ErrorKind::PermissionDenied => "Run as root",
        io::ErrorKind::NotFound => "Name the kubelet's directory with --directory",
        io::ErrorKind::StorageFull => "The file system is full; what was there is still in place",
        _ => "What was there is still in place",
    }
}

/// Puts every level's profile below `directory`.
pub(crate) fn install(directory: &Path) -> Result<Vec<Installed>, InstallError> {
    let below = directory.join(BELOW);
    let mut installed = Vec::new();
    for parent in [below.join(env!("CARGO_PKG_VERSION")), below] {
        let failed = |source| InstallError { path: parent.clone(), source };
        std::fs::create_dir_all(&parent).map_err(failed)?;
        for level in levels::LEVELS {
            let path = parent.join(format!("{level}.json"));
            let text = levels::text(level).unwrap_or_default();
            let written = replace(&path, text.as_bytes())
                .map_err(|source| InstallError { path: path.clone(), source })?;
            installed.push(Installed { path, written });
        }
    }
    Ok(installed)
}

/// Makes the file's content this, unless it is already.
fn replace(path: &Path, content: &[u8]) -> io::Result<bool> {
    match std::fs::read(path) {
        Ok(there) if there == content => return Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(content)?;
    // The runtime reads it, as whatever user it runs.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_is_there_under_its_name_and_its_version() {
        let directory = tempfile::tempdir().unwrap();
        let first = install(directory.path()).unwrap();
        assert_eq!(first.len(), 2 * levels::LEVELS.len());
        assert!(first.iter().all(|file| file.written));
        let path = directory.path().join("bulkhead/untrusted.json");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), levels::text("untrusted").unwrap());
        assert!(install(directory.path()).unwrap().iter().all(|file| !file.written));
    }

    #[test]
    fn another_content_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        install(directory.path()).unwrap();
        let path = directory.path().join("bulkhead/trusted.json");
        std::fs::write(&path, "{}").unwrap();
        let again = install(directory.path()).unwrap();
        let written: Vec<_> = again.iter().filter(|file| file.written).collect();
        assert_eq!(written.len(), 1);
        assert_eq!(written[0].path, path);
        let there = std::fs::read_dir(directory.path().join("bulkhead")).unwrap().count();
        assert_eq!(there, levels::LEVELS.len() + 1, "three files and one version");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_that_says_what_to_do() {
        let error = install(Path::new("/proc/self")).unwrap_err().to_string();
        assert!(error.contains("/proc/self/bulkhead"), "{error}");
        assert!(error.contains("--directory"), "{error}");
    }
}
