//! Whether the runtime's own device program is still there.

use std::{fs::File, io, os::fd::AsFd, path::Path};

use crate::{
    kernel,
    node::cgroupfs::{CgroupTree, is_gone},
};

/// Whether a process in the cgroup at `path` meets a device program that is not the agent's, which lies at
/// the root alone. systemd and runtimes attach theirs to the container's cgroup or to one around or in it.
/// `None`: the cgroup is gone.
pub(super) fn has_runtime_program(tree: &CgroupTree, path: &Path) -> io::Result<Option<bool>> {
    for cgroup in path.ancestors().take_while(|cgroup| cgroup.parent().is_some()) {
        match programs(tree, cgroup) {
            Ok(0) => {}
            Ok(_) => return Ok(Some(true)),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(false))
}

/// Whether the kernel tells what is attached.
pub(super) fn can_be_asked(tree: &CgroupTree) -> io::Result<()> {
    programs(tree, Path::new("/")).map(drop)
}

fn programs(tree: &CgroupTree, cgroup: &Path) -> io::Result<u32> {
    kernel::device_programs(File::open(tree.full_path(cgroup))?.as_fd())
}
