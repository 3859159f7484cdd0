//! The throw-away cgroups: made by us, emptied by us, removed by us, and nothing else.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

/// One cgroup v2 directory that this process made. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    id: u64,
    procs: File,
}

impl Cgroup {
    /// Makes a cgroup. One that is there already is somebody else's, and an error.
    pub(crate) fn make(path: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&path)
            .with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        Self::open(&path).inspect_err(|_| remove(&path))
    }

    fn open(path: &Path) -> anyhow::Result<Self> {
        let procs = path.join("cgroup.procs");
        let procs = OpenOptions::new()
            .write(true)
            .open(&procs)
            .with_context(|| format!("cannot open {}", procs.display()))?;
        // In cgroup v2, the inode number is the id that the kernel uses.
        let id = fs::metadata(path)?.ino();
        Ok(Self { path: path.to_owned(), id, procs })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn procs(&self) -> &File {
        &self.procs
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the cgroups in a directory of ours, which an agent that was killed has left there with
/// what was acting in them.
pub(super) fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        match OpenOptions::new().write(true).open(entry.path().join("cgroup.kill")) {
            Ok(mut kill) => kill.write_all(b"1")?,
            // It has gone by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        try_remove(&entry.path())?;
    }
    Ok(())
}

/// Removes a cgroup of ours.
fn remove(path: &Path) {
    if let Err(error) = try_remove(path) {
        tracing::warn!("the cgroup {} is left behind: {error}", path.display());
    }
}

/// The last process in it may still be on its way out.
fn try_remove(path: &Path) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(3);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}
