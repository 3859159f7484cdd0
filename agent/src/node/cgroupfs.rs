//! The cgroup v2 tree: where it is, and which directory has which id.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use procfs::process::Process;

/// Directories deeper than this are not walked. Kubernetes makes five levels; a workload that owns
/// its cgroup can make a tree of any depth, and a walk must end.
pub(crate) const MAX_DEPTH: usize = 32;

/// The id of the node's root cgroup. A mount whose root has another id shows a part of the tree;
/// the paths in mountinfo do not tell, being relative to the reader's cgroup namespace.
const ROOT_ID: u64 = 1;

/// Links to a directory that has none in it: its name and its own `.`. Each directory in it has one more, its `..`,
/// and the cgroup file system counts them so (`kernfs_refresh_inode`).
const NO_CHILDREN: u64 = 2;

/// Why the tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    /// The mounts could not be listed.
    #[error("cannot read this process's mounts")]
    Mounts(#[from] procfs::ProcError),
    /// There is no cgroup v2.
    #[error(
        "no cgroup2 file system is mounted: Bulkhead tells containers by their cgroup v2; in a \
         container, mount the host's /sys/fs/cgroup"
    )]
    NotMounted,
    /// A directory could not be looked at.
    #[error("cannot look at the cgroup {path}")]
    Look {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The cgroup v2 mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CgroupTree {
    /// Where it is mounted.
    mount: PathBuf,
    /// The id of the cgroup that the mount shows as its root.
    root: u64,
}

/// One cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroup {
    /// Its id, as the kernel side knows it.
    pub(crate) id: u64,
    /// Its path below the mount, with a leading slash.
    pub(crate) path: PathBuf,
}

impl CgroupTree {
    /// Finds the mount: one that shows the whole tree, in its usual places before others.
    pub(crate) fn find() -> Result<Self, CgroupError> {
        let mut trees = Vec::new();
        for mount in Process::myself()?.mountinfo()?.0 {
            if mount.fs_type == "cgroup2" && is_cgroup2(&mount.mount_point) {
                let root = id_of(&mount.mount_point)?;
                trees.push(Self { mount: mount.mount_point, root });
            }
        }
        best(trees).ok_or(CgroupError::NotMounted)
    }

    /// The mount point.
    pub(crate) fn mount(&self) -> &Path {
        &self.mount
    }

    /// Whether only a part of the node's tree is seen: the agent is in a cgroup namespace, or was
    /// given a part of the mount. What is outside of the part is not protected.
    pub(crate) fn is_partial(&self) -> bool {
        self.root != ROOT_ID
    }

    /// The id of the cgroup at `path` below the mount.
    pub(crate) fn id(&self, path: &Path) -> Result<u64, CgroupError> {
        id_of(&self.full_path(path))
    }

    /// `path` below the mount, as a path of this process.
    pub(crate) fn full_path(&self, path: &Path) -> PathBuf {
        self.mount.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Every cgroup, parents before their children. A directory that vanishes meanwhile is left
    /// out; anything else that stops the walk is an error.
    pub(crate) fn walk(&self) -> Result<Walk, CgroupError> {
        self.walk_from(Path::new("/"))
    }

    /// The cgroup at `top` and every one below it, parents before their children.
    pub(crate) fn walk_from(&self, top: &Path) -> Result<Walk, CgroupError> {
        let mut walk = Walk::default();
        let mut open = vec![(top.to_owned(), 0)];
        while let Some((path, depth)) = open.pop() {
            let Some(metadata) = unless_gone(metadata_of(&self.full_path(&path)))? else {
                continue;
            };
            let id = metadata.ino();
            // Most are containers, and have none: they need not be listed.
            let has_children = metadata.nlink() != NO_CHILDREN;
            if has_children && depth < MAX_DEPTH {
                let children = unless_gone(self.children(&path))?.unwrap_or_default();
                open.extend(children.into_iter().map(|child| (child, depth + 1)));
            } else if has_children {
                walk.too_deep += 1;
            }
            walk.cgroups.push(Cgroup { id, path });
        }
        Ok(walk)
    }

    /// The name of the child of `parent` that has this id; `None` when it is gone.
    pub(crate) fn child_with_id(&self, parent: &Path, id: u64) -> Option<PathBuf> {
        let children = self.children(parent).ok()?;
        children.into_iter().find(|child| self.id(child).is_ok_and(|child| child == id))
    }

    fn children(&self, path: &Path) -> Result<Vec<PathBuf>, CgroupError> {
        let full = self.full_path(path);
        let failed = |source| CgroupError::Look { path: full.clone(), source };
        let mut children = Vec::new();
        for entry in fs::read_dir(&full).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // The type comes with the entry: nothing is followed, nothing else is looked up.
            if entry.file_type().map_err(failed)?.is_dir() {
                children.push(path.join(entry.file_name()));
            }
        }
        Ok(children)
    }
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    /// The cgroups, parents before their children.
    pub(crate) cgroups: Vec<Cgroup>,
    /// Cgroups at [`MAX_DEPTH`], whose children were not looked at.
    pub(crate) too_deep: usize,
}

fn unless_gone<T>(result: Result<T, CgroupError>) -> Result<Option<T>, CgroupError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(CgroupError::Look { source, .. }) if is_gone(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file or directory of a cgroup could not be used because the cgroup is gone: one that is removed
/// while it is open gives ENODEV.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ENODEV as i32)
}

/// The inode number of a cgroup's directory is its id, on every 64-bit kernel since 5.5.
fn id_of(full: &Path) -> Result<u64, CgroupError> {
    metadata_of(full).map(|metadata| metadata.ino())
}

fn metadata_of(full: &Path) -> Result<Metadata, CgroupError> {
    fs::symlink_metadata(full).map_err(|source| CgroupError::Look { path: full.to_owned(), source })
}

/// Whether the tree is what one sees at `path`: another mount may hide it.
fn is_cgroup2(path: &Path) -> bool {
    statfs(path).is_ok_and(|it| it.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

fn best(trees: Vec<CgroupTree>) -> Option<CgroupTree> {
    trees.into_iter().min_by_key(|tree| {
        let place = match tree.mount.to_str() {
            Some("/sys/fs/cgroup") => 0,
            Some("/sys/fs/cgroup/unified") => 1,
            _ => 2,
        };
        (tree.is_partial(), place)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn tree(path: &Path) -> CgroupTree {
        CgroupTree { mount: path.to_owned(), root: ROOT_ID }
    }

    #[test]
    fn the_whole_tree_of_the_node_is_preferred() {
        let at = |mount: &str, root| CgroupTree { mount: mount.into(), root };
        let (usual, hybrid) = (at("/sys/fs/cgroup", 1), at("/sys/fs/cgroup/unified", 1));
        let (part, host) = (at("/sys/fs/cgroup", 4711), at("/host/sys/fs/cgroup", 1));
        let chosen = |trees: &[&CgroupTree]| best(trees.iter().map(|it| (*it).clone()).collect());
        assert_eq!(chosen(&[&hybrid, &host, &usual]), Some(usual));
        assert_eq!(chosen(&[&part, &hybrid, &host]), Some(hybrid));
        assert_eq!(chosen(&[&part, &host]), Some(host));
        assert!(chosen(&[&part]).unwrap().is_partial());
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn a_walk_finds_parents_before_their_children_with_the_ids_of_their_directories() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("kubepods.slice/pod1/c1")).unwrap();
        fs::create_dir_all(root.path().join("system.slice")).unwrap();
        fs::write(root.path().join("cgroup.procs"), "").unwrap();
        let tree = tree(root.path());
        let cgroups = tree.walk().unwrap().cgroups;
        let mut seen = HashSet::new();
        for cgroup in &cgroups {
            assert_eq!(cgroup.id, tree.id(&cgroup.path).unwrap());
            assert!(cgroup.path.parent().is_none_or(|parent| seen.contains(parent)));
            seen.insert(cgroup.path.clone());
        }
        assert_eq!(cgroups.len(), 5);
        assert!(seen.contains(Path::new("/kubepods.slice/pod1/c1")));
    }

    #[test]
    fn a_tree_of_any_depth_ends_the_walk_and_is_told() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(["d"; MAX_DEPTH + 10].join("/"))).unwrap();
        let walk = tree(root.path()).walk().unwrap();
        assert_eq!((walk.cgroups.len(), walk.too_deep), (MAX_DEPTH + 1, 1));
    }

    #[test]
    fn a_cgroup_that_does_not_exist_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = tree(root.path()).id(Path::new("/no/such")).unwrap_err().to_string();
        assert!(error.starts_with("cannot look at the cgroup /") && error.ends_with("/no/such"));
    }

    #[test]
    fn this_machine_has_a_tree_or_says_that_it_has_none() {
        match CgroupTree::find() {
            Ok(tree) => assert!(!tree.walk().unwrap().cgroups.is_empty()),
            Err(error) => assert!(matches!(error, CgroupError::NotMounted), "{error}"),
        }
    }
}
