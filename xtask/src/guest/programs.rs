//! The disk of ordinary programs: what the container image `localhost/bulkhead/programs:1` holds.
//!
//! The image has one layer of more than a gigabyte. To unpack it in an emulated guest would take
//! minutes, so its tree is made here, as a disk that is read only, and `start-containerd` mounts it
//! where the runtime keeps the unpacked layer. To a container it is an image like any other: the
//! lower layer of its overlay.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{AREA, rootfs, share};
use crate::cache::{self, Key};
use crate::{command, progress::Step};

/// Goes up when this file makes something else of the same inputs.
const BUILDER: &str = "1";

/// Where the package list and what is laid over the packages are.
const HOME: &str = "tests/benign";

/// The disk's name in its entry of the cache.
const DISK: &str = "programs.ext4";

/// The disk, built if its inputs have changed.
pub(crate) fn disk() -> Result<PathBuf> {
    let overlay = cache::repository().join(HOME).join("image");
    let (tree, tree_key) = tree()?;
    let key =
        Key::default().value("builder", BUILDER).value("tree", tree_key.digest()).tree(&overlay)?;
    let entry = cache::entry("programs", &key, |dir| {
        let step = Step::begin(AREA, "making the disk of ordinary programs (20 s or more)");
        let stage = dir.join("stage");
        finish(&tree, &overlay, &stage)?;
        share::make_disk(&stage, &dir.join(DISK))?;
        fs::remove_dir_all(&stage).context("cannot remove the staging directory")?;
        step.done();
        Ok(())
    })?;
    Ok(entry.join(DISK))
}

/// The packages' tree, and its cache key.
fn tree() -> Result<(PathBuf, Key)> {
    let list = cache::repository().join(HOME).join("packages.list");
    let key = Key::default().value("builder", BUILDER).value("suite", rootfs::SUITE).file(&list)?;
    let entry = cache::entry("programs-tree", &key, |dir| {
        let step = Step::begin(AREA, "installing ordinary programs into a tree (2 min or more)");
        // The manual is left out, and a package links its page with `update-alternatives` still.
        let hook = "--essential-hook=mkdir -p \"$1\"/usr/share/man/man1";
        rootfs::install(&list, &dir.join("root"), &[hook])?;
        step.done();
        Ok(())
    })?;
    Ok((entry.join("root"), key))
}

/// Lays our files over the packages, and lets the image finish itself.
fn finish(tree: &Path, overlay: &Path, stage: &Path) -> Result<()> {
    // Hard links: the staged tree is only read, and files are replaced, never written through.
    command::run(Command::new("cp").args(["-al", "-T"]).arg(tree).arg(stage))?;
    let mut onto = Command::new("cp");
    onto.args(["-a", "--remove-destination", "--no-preserve=ownership", "-T"]);
    command::run(onto.arg(overlay).arg(stage))?;
    // The compiler finds its own parts by /proc. The mount goes with the namespace.
    let script = "mount -t proc proc \"$1/proc\" && exec chroot \"$1\" sh \"$2\"";
    let mut finish = Command::new("unshare");
    finish.args(["--mount", "sh", "-c", script, "sh"]).arg(stage);
    command::run(finish.arg("/usr/lib/bulkhead-programs/finish"))
}
