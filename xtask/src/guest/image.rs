//! The guest's disk: root file system, kernel modules, container images and our own files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::kernel::{Kernel, KernelFiles};
use super::{AREA, NodeArguments, oci, programs, rootfs};
use crate::cache::{self, Key};
use crate::{command, progress::Step};

/// Goes up when this file makes something else of the same inputs.
const BUILDER: &str = "1";

/// Room for what a run writes; the file is sparse.
const DISK_SIZE: &str = "3G";

/// What is needed to boot.
#[derive(Debug)]
pub(crate) struct Image {
    /// The root file system, ext4; never written to by a run.
    pub(crate) disk: PathBuf,
    /// The kernel.
    pub(crate) vmlinux: PathBuf,
    /// The disk of ordinary programs, if the node is to have it; never written to by a run.
    pub(crate) programs: Option<PathBuf>,
}

/// The image of the node that was asked for, built if its inputs have changed.
pub(crate) fn of(node: &NodeArguments) -> Result<Image> {
    let programs = node.programs.then(programs::disk).transpose()?;
    Ok(Image { programs, ..build(node.kernel)? })
}

/// The image of a node with this kernel, built if its inputs have changed.
pub(crate) fn build(kernel: Kernel) -> Result<Image> {
    let files = kernel.files()?;
    let (root, root_key) = rootfs::tree()?;
    let (runtime, runtime_key) = rootfs::later_runtime()?;
    let overlay = cache::repository().join("tests/guest/root");
    let key = Key::default()
        .value("builder", BUILDER)
        .value("images", oci::BUILDER)
        .value("kernel", kernel.key().digest())
        .value("root", root_key.digest())
        .value("runtime", runtime_key.digest())
        .tree(&overlay)?;
    let home = cache::entry(&format!("image-{}", kernel.name()), &key, |dir| {
        let step = Step::begin(AREA, format!("making the disk of a {} node", kernel.name()));
        let stage = dir.join("stage");
        assemble(&stage, &root, &runtime, &overlay, &files)?;
        make_disk(&stage, &dir.join("root.ext4"))?;
        fs::remove_dir_all(&stage).context("cannot remove the staging directory")?;
        step.done();
        Ok(())
    })?;
    Ok(Image { disk: home.join("root.ext4"), vmlinux: files.vmlinux, programs: None })
}

fn assemble(
    stage: &Path,
    root: &Path,
    runtime: &Path,
    overlay: &Path,
    kernel: &KernelFiles,
) -> Result<()> {
    // Hard links: the staged tree is only read, and files are replaced, never written through.
    copy(&["-al"], root, stage)?;
    copy(&["-a"], &kernel.modules, &stage.join("usr/lib/modules").join(&kernel.release))?;
    copy(&["-al"], runtime, &stage.join("opt/containerd-2.1"))?;
    let mut onto = Command::new("cp");
    onto.args(["-a", "--remove-destination", "--no-preserve=ownership", "-T"])
        .arg(overlay)
        .arg(stage);
    command::run(&mut onto)?;
    let busybox = stage.join("usr/bin/busybox");
    let lib = stage.join("usr/lib/bulkhead-guest");
    oci::write_archive(&busybox, &lib.join("images.tar"))?;
    oci::write_programs(&lib.join("programs.tar"))?;
    let finish = "/usr/lib/bulkhead-guest/finish-image";
    command::run(Command::new("chroot").arg(stage).arg(finish).arg(&kernel.release))
}

fn copy(how: &[&str], from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    command::run(Command::new("cp").args(how).arg("-T").arg(from).arg(to))
}

fn make_disk(tree: &Path, disk: &Path) -> Result<()> {
    let mut make = Command::new("mke2fs");
    // No journal: the disk is thrown away after each run.
    make.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1"]);
    make.arg("-d").arg(tree).arg(disk).arg(DISK_SIZE);
    command::run(&mut make)
}

/// Removes all that was built for guests, kernels included.
pub(crate) fn clean() -> Result<()> {
    let home = cache::root().join("guest");
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    eprintln!("{AREA}: removed {}", home.display());
    Ok(())
}
