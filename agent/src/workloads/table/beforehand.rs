//! Containers that the runtime has told of beforehand.

use std::path::Path;

use super::{Look, Workloads};
use crate::{
    kernel::Guard,
    workloads::{announced::Announced, placement::WorkloadError},
};

impl Workloads {
    /// What the runtime has told.
    pub(crate) fn announced(&self) -> &Announced {
        self.bundles.announced()
    }

    /// Names the container whose cgroup is at `path`, if it is there and has no name yet: it is about
    /// to be started, and its identity is in the kernel's map when this returns.
    pub(crate) fn name_now(&mut self, path: &str, guard: &mut Guard) -> Result<(), WorkloadError> {
        let id = self.tree.id(Path::new(path))?;
        if self.paths.get(path) != Some(&id) {
            self.place_one(id, path, Look::Again(0), guard)?;
        }
        Ok(())
    }
}
