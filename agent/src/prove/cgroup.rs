//! The throw-away cgroups: made by us, emptied by us, removed by us, and nothing else.

use std::{
    fs::{self, File, OpenOptions},
    io,
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

/// Removes a cgroup of ours. The last process in it may still be on its way out.
fn remove(path: &Path) {
    const PATIENCE: Duration = Duration::from_secs(3);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if Instant::now() > deadline => {
                tracing::warn!("the cgroup {} is left behind: {error}", path.display());
                return;
            }
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Where cgroup v2 is mounted.
pub(crate) fn mount_point() -> anyhow::Result<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    mount_point_in(&table).context("no cgroup v2 hierarchy is mounted (mount -t cgroup2)")
}

fn mount_point_in(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split_whitespace().next()?;
        let path = before.split_whitespace().nth(4)?;
        (kind == "cgroup2").then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_point_is_found_beside_v1_hierarchies() {
        let table = "24 20 0:21 / /sys/fs/cgroup/cpu rw shared:4 - cgroup cgroup rw,cpu\n\
                     25 20 0:22 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point_in(table), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point_in("24 20 0:21 / /tmp rw - tmpfs tmpfs rw\n"), None);
    }
}
