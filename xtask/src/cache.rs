//! Things that are dear to build, kept under a name that holds the hash of all that went into them.
//!
//! A change of any input gives another name, so nothing is ever rebuilt in place and nothing stale
//! is ever used. Two processes that want the same entry at once build it once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of the hash that an entry's name shows: 64 bits, plenty for a handful.
const SHOWN_DIGITS: usize = 16;

/// Entries that nobody has asked for in this time go when another of their kind is built.
const KEPT_UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The repository's top directory.
pub(crate) fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where everything cached lives: `.cache/` in the repository, or what `BULKHEAD_CACHE` names.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("BULKHEAD_CACHE").map_or_else(|| repository().join(".cache"), PathBuf::from)
}

/// What goes into an entry. Each part is hashed with its name and length, so that no two
/// different lists of parts give the same bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key(Sha256);

impl Key {
    /// Adds a named value.
    pub(crate) fn value(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// Adds a file's bytes.
    pub(crate) fn file(self, path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.value(&path.file_name().unwrap_or_default().to_string_lossy(), bytes))
    }

    /// Adds every file below a directory: path, kind, executable bit and content.
    pub(crate) fn tree(mut self, top: &Path) -> Result<Self> {
        for path in sorted_files(top)? {
            let name = path.strip_prefix(top)?.to_string_lossy().into_owned();
            let meta = fs::symlink_metadata(&path)?;
            self = if meta.is_symlink() {
                let target = fs::read_link(&path)?;
                self.value(&format!("link {name}"), target.to_string_lossy().as_bytes())
            } else {
                let executable = std::os::unix::fs::MetadataExt::mode(&meta) & 0o111 != 0;
                let bytes =
                    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                self.value(&format!("file {name} {executable}"), bytes)
            };
        }
        Ok(self)
    }

    /// The hash, as the entry's name shows it.
    pub(crate) fn digest(&self) -> String {
        let mut text = hex(&self.0.clone().finalize());
        text.truncate(SHOWN_DIGITS);
        text
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files and symbolic links below a directory, in an order that does not depend on the disk.
pub(crate) fn sorted_files(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![top.to_path_buf()];
    while let Some(directory) = left.pop() {
        let entries = fs::read_dir(&directory)
            .with_context(|| format!("cannot list {}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path())
            } else {
                found.push(entry.path())
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The directory of the entry `kind` with this key, built by `build` if it is not there yet.
///
/// `build` fills an empty directory; only when it succeeds does the entry get its name.
pub(crate) fn entry(
    kind: &str,
    key: &Key,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    entry_in(&root().join("guest"), kind, key, build)
}

/// As `entry`, in a directory of another task.
pub(crate) fn entry_in(
    root: &Path,
    kind: &str,
    key: &Key,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let name = format!("{kind}-{}", key.digest());
    let wanted = root.join(&name);
    let lock = lock(&root.join(format!("{name}.lock")))?;
    lock.set_modified(SystemTime::now()).context("cannot note that a cache entry is in use")?;
    if wanted.exists() {
        return Ok(wanted);
    }
    prune(root, kind)?;
    let partial = root.join(format!("{name}.partial"));
    if partial.exists() {
        // A build that was interrupted; we hold the lock, so nobody is at work on it.
        fs::remove_dir_all(&partial)
            .with_context(|| format!("cannot remove the unfinished {}", partial.display()))?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    build(&partial)?;
    fs::rename(&partial, &wanted)
        .with_context(|| format!("cannot name the finished {}", wanted.display()))?;
    Ok(wanted)
}

/// Removes the entries of a kind that have not been asked for in a long time. The time of the last
/// use is that of the lock file.
fn prune(root: &Path, kind: &str) -> Result<()> {
    let prefix = format!("{kind}-");
    for entry in fs::read_dir(root).with_context(|| format!("cannot list {}", root.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(of_kind) = name.strip_suffix(".lock").filter(|name| name.starts_with(&prefix))
        else {
            continue;
        };
        let unused = fs::metadata(&path)?.modified()?.elapsed().unwrap_or_default();
        if unused < KEPT_UNUSED {
            continue;
        }
        for left in [of_kind.to_owned(), format!("{of_kind}.partial")] {
            let left = root.join(left);
            if left.exists() {
                fs::remove_dir_all(&left)
                    .with_context(|| format!("cannot remove the old {}", left.display()))?;
            }
        }
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Takes the lock of a name, waiting for whoever holds it; dropping the file gives it back.
pub(crate) fn lock(path: &Path) -> Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn parts_cannot_be_shifted_into_one_another() {
        let one = Key::default().value("a", "bc").digest();
        let other = Key::default().value("ab", "c").digest();
        assert_ne!(one, other);
    }

    #[test]
    fn a_tree_changes_with_content_name_and_executable_bit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("init");
        let digest = || Key::default().tree(dir.path()).unwrap().digest();
        fs::write(&file, "one").unwrap();
        let first = digest();
        assert_eq!(first, digest());
        fs::write(&file, "two").unwrap();
        let second = digest();
        assert_ne!(first, second);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let third = digest();
        assert_ne!(second, third);
        fs::rename(&file, dir.path().join("init2")).unwrap();
        assert_ne!(third, digest());
    }

    #[test]
    fn an_entry_is_built_once_and_again_only_for_another_key() {
        let root = tempfile::tempdir().unwrap();
        let mut built = 0;
        for key in ["a", "a", "b"] {
            let key = Key::default().value("v", key);
            entry_in(root.path(), "thing", &key, |dir| {
                built += 1;
                Ok(fs::write(dir.join("f"), "x")?)
            })
            .unwrap();
        }
        assert_eq!(built, 2);
    }

    #[test]
    fn an_entry_long_unused_goes_when_another_of_its_kind_is_built() {
        let root = tempfile::tempdir().unwrap();
        let make = |kind: &str, key: &str| {
            let key = Key::default().value("v", key);
            entry_in(root.path(), kind, &key, |_| Ok(())).unwrap()
        };
        let (old, used, other) = (make("disk", "old"), make("disk", "used"), make("kernel", "old"));
        for entry in [&old, &other] {
            let lock =
                File::options().write(true).open(format!("{}.lock", entry.display())).unwrap();
            lock.set_modified(SystemTime::now() - 2 * KEPT_UNUSED).unwrap();
        }
        make("disk", "new");
        assert!(!old.exists() && used.exists() && other.exists());
    }

    #[test]
    fn a_failed_build_leaves_no_entry_and_the_next_one_starts_clean() {
        let root = tempfile::tempdir().unwrap();
        let key = Key::default();
        let failed = entry_in(root.path(), "thing", &key, |dir| {
            fs::write(dir.join("half"), "x")?;
            anyhow::bail!("no network")
        });
        assert!(failed.is_err());
        let made = entry_in(root.path(), "thing", &key, |dir| {
            assert!(!dir.join("half").exists());
            Ok(())
        });
        assert!(made.unwrap().is_dir());
    }
}
