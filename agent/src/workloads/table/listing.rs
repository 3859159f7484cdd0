//! The table as others read it.

use std::path::Path;

use bulkhead_policy::{Policy, event};

use super::{Workload, Workloads};
use crate::node::cgroupfs::CgroupTree;

/// One container that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed<'a> {
    /// Its cgroup's id.
    pub(crate) cgroup: u64,
    /// Its cgroup, below the mount.
    pub(crate) path: &'a str,
    /// Whose it is and what the kernel side knows.
    pub(crate) workload: &'a Workload,
    /// Its names.
    pub(crate) container: &'a event::Container,
    /// Its pod's names.
    pub(crate) pod: Option<&'a event::Pod>,
}

/// Why a container is not found by what was said of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSuch {
    /// None fits.
    #[error("no container here is called {0:?}: `bulkhead tenants` lists them")]
    None(String),
    /// More than one does.
    #[error("{0:?} fits more than one container: {1}. Give more of the id")]
    Many(String, String),
}

impl Workloads {
    /// The containers that are there, by cgroup path.
    pub(crate) fn listed(&self) -> Vec<Listed<'_>> {
        let mut listed: Vec<_> =
            self.paths.iter().filter_map(|(path, cgroup)| self.listing(*cgroup, path)).collect();
        listed.sort_by_key(|container| container.path);
        listed
    }

    /// The container whose own cgroup has this id, if it is there.
    pub(crate) fn by_cgroup(&self, cgroup: u64) -> Option<Listed<'_>> {
        let (path, _) = self.paths.iter().find(|(_, id)| **id == cgroup)?;
        self.listing(cgroup, path)
    }

    /// The container with this id, a beginning of it, or this cgroup path.
    pub(crate) fn find(&self, said: &str) -> Result<Listed<'_>, NoSuch> {
        let listed = self.listed();
        let whole =
            |container: &&Listed<'_>| id_of(container) == Some(said) || container.path == said;
        if let Some(exact) = listed.iter().find(whole) {
            return Ok(*exact);
        }
        let begins = |container: &&Listed<'_>| {
            !said.is_empty() && id_of(container).is_some_and(|id| id.starts_with(said))
        };
        let fitting: Vec<_> = listed.iter().filter(begins).collect();
        match fitting.as_slice() {
            [one] => Ok(**one),
            [] => Err(NoSuch::None(said.to_owned())),
            many => {
                let ids: Vec<_> = many.iter().take(5).filter_map(|one| id_of(one)).collect();
                Err(NoSuch::Many(said.to_owned(), ids.join(", ")))
            }
        }
    }

    /// The container that the cgroup at `path` is or lies in.
    pub(crate) fn around(&self, path: &Path) -> Option<Listed<'_>> {
        path.ancestors().find_map(|at| {
            let (path, cgroup) = self.paths.get_key_value(at.to_str()?)?;
            self.listing(*cgroup, path)
        })
    }

    /// The tree that the table is of.
    pub(crate) fn tree(&self) -> &CgroupTree {
        &self.tree
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    fn listing<'a>(&'a self, cgroup: u64, path: &'a str) -> Option<Listed<'a>> {
        let workload = self.containers.get(&cgroup)?;
        Some(Listed {
            cgroup,
            path,
            workload,
            container: &workload.container,
            pod: self.pods.get(&workload.identity.pod),
        })
    }
}

fn id_of<'a>(listed: &Listed<'a>) -> Option<&'a str> {
    listed.container.id.as_ref().map(event::Text::as_str)
}
