//! From where this process sees the cgroup tree: what `/proc/PID/cgroup` says is relative to the
//! reader's cgroup namespace, which in a pod is the pod's own.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use super::cgroupfs::{CgroupError, CgroupTree};

/// Inode number of the initial cgroup namespace (linux/proc_ns.h: PROC_CGROUP_INIT_INO).
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFB;

/// Why it cannot be found out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VantageError {
    /// Files of /proc.
    #[error("cannot read which cgroup this process is in")]
    Own(#[from] io::Error),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] CgroupError),
    /// No cgroup of the tree lists it.
    #[error("no visible cgroup has this process in it")]
    Nowhere,
}

/// Where the reader's cgroup namespace begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vantage {
    root: PathBuf,
    own: PathBuf,
}

impl Vantage {
    /// Finds it out.
    pub(crate) fn find(tree: &CgroupTree) -> Result<Self, VantageError> {
        let text = fs::read_to_string("/proc/self/cgroup")?;
        let shown = unified(&text).unwrap_or("/");
        if fs::metadata("/proc/self/ns/cgroup")?.ino() == INITIAL_NAMESPACE {
            return Ok(Self { root: PathBuf::from("/"), own: PathBuf::from(shown) });
        }
        let own = holder_of(tree, std::process::id())?.ok_or(VantageError::Nowhere)?;
        let root = below(&own, shown).ok_or(VantageError::Nowhere)?;
        Ok(Self { root, own })
    }

    /// This process's cgroup, from the root of the tree.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    /// A path that /proc shows to this process, from the root of the tree. `None` for one that
    /// leads out of it.
    pub(crate) fn resolve(&self, shown: &str) -> Option<PathBuf> {
        let mut path = self.root.clone();
        for component in Path::new(shown).components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => path.push(name),
                Component::ParentDir => {
                    if !path.pop() {
                        return None;
                    }
                }
                Component::Prefix(_) => return None,
            }
        }
        Some(path)
    }
}

/// The line of the cgroup v2 hierarchy.
fn unified(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// The cgroup that lists this process.
fn holder_of(tree: &CgroupTree, pid: u32) -> Result<Option<PathBuf>, CgroupError> {
    let pid = pid.to_string();
    Ok(tree.walk()?.cgroups.into_iter().map(|cgroup| cgroup.path).find(|path| {
        let listed = fs::read_to_string(tree.full_path(path).join("cgroup.procs"));
        // One that vanishes meanwhile, or whose members are of another kind, does not list it.
        listed.is_ok_and(|listed| listed.lines().any(|line| line == pid))
    }))
}

/// `own` without its last components, which are those of `shown`.
fn below(own: &Path, shown: &str) -> Option<PathBuf> {
    let names: Vec<&OsStr> = Path::new(shown)
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let mut root = own.to_owned();
    for name in names.into_iter().rev() {
        if root.file_name() != Some(name) {
            return None;
        }
        root.pop();
    }
    Some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_from_where_the_reader_stands() {
        let pod =
            Vantage { root: "/kubepods/pod1/agent".into(), own: "/kubepods/pod1/agent".into() };
        assert_eq!(pod.resolve("/"), Some("/kubepods/pod1/agent".into()));
        assert_eq!(pod.resolve("/../../pod2/c"), Some("/kubepods/pod2/c".into()));
        assert_eq!(pod.resolve("/../../../system.slice/x"), Some("/system.slice/x".into()));
        assert_eq!(pod.resolve("/../../../../.."), None, "nothing lies above the root");
        let node = Vantage { root: "/".into(), own: "/init.scope".into() };
        assert_eq!(node.resolve("/a/b"), Some("/a/b".into()));
    }

    #[test]
    fn the_namespace_begins_above_what_is_shown_of_the_own_path() {
        assert_eq!(below(Path::new("/a/b/c"), "/b/c"), Some("/a".into()));
        assert_eq!(below(Path::new("/a/b"), "/"), Some("/a/b".into()));
        assert_eq!(below(Path::new("/a/b"), "/x"), None);
    }
}
