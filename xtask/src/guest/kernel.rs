//! The kernels a node can boot, from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::{AREA, vmlinux};
use crate::cache::{self, Key};
use crate::debian::Suite;
use crate::{command, progress::Step};

/// Goes up when this file makes something else of the same packages.
const BUILDER: &str = "1";

/// A line of kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernel {
    /// Debian 12's.
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's.
    #[default]
    #[value(name = "6.12")]
    V6_12,
    /// Debian 13's backports.
    #[value(name = "7")]
    V7,
}

/// A kernel ready to boot.
#[derive(Debug)]
pub(crate) struct KernelFiles {
    /// The uncompressed image, which QEMU enters directly.
    pub(crate) vmlinux: PathBuf,
    /// The directory of the modules; its name is the kernel's release.
    pub(crate) modules: PathBuf,
    /// The release, as `uname -r` tells it.
    pub(crate) release: String,
}

impl Kernel {
    /// The name that the command line uses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7 => "7",
        }
    }

    fn suite(self) -> &'static str {
        match self {
            Self::V6_1 => "bookworm-security",
            Self::V6_12 => "trixie",
            Self::V7 => "trixie-backports",
        }
    }

    /// What the kernel's files depend on.
    pub(crate) fn key(self) -> Key {
        Key::default().value("builder", BUILDER).value("kernel", self.name())
    }

    /// The kernel's files, fetched if they are not there yet.
    pub(crate) fn files(self) -> Result<KernelFiles> {
        let home =
            cache::entry(&format!("kernel-{}", self.name()), &self.key(), |dir| self.fetch(dir))?;
        let modules = only_entry(&home.join("modules"))?;
        let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(KernelFiles { vmlinux: home.join("vmlinux"), modules, release })
    }

    fn fetch(self, dest: &Path) -> Result<()> {
        let step = Step::begin(AREA, format!("fetching a {} kernel", self.name()));
        let suite = Suite::open(self.suite())?;
        let scratch = tempfile::tempdir_in(dest).context("cannot make a scratch directory")?;
        for package in kernel_packages(&suite)? {
            let version = suite.version(&package, None)?;
            let archive = suite.download(&package, &version, scratch.path())?;
            let unpack = scratch.path().join("root");
            command::run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(unpack))?;
        }
        let root = scratch.path().join("root");
        let modules = modules_directory(&root)?;
        let image = find_image(&root, &modules)?;
        vmlinux::extract(&image, &dest.join("vmlinux"))?;
        fs::create_dir_all(dest.join("modules"))?;
        let kept = dest.join("modules").join(modules.file_name().unwrap_or_default());
        fs::rename(&modules, &kept)
            .with_context(|| format!("cannot move {} to {}", modules.display(), kept.display()))?;
        step.done();
        Ok(())
    }
}

/// The packages that hold the newest cloud kernel of a suite: one up to 6.x, several later.
fn kernel_packages(suite: &Suite) -> Result<Vec<String>> {
    let versioned = |name: &String| {
        ["linux-image-", "linux-modules-", "linux-binary-"].iter().any(|kind| {
            name.strip_prefix(kind)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    let mut packages = suite.depends("linux-image-cloud-amd64")?;
    packages.retain(versioned);
    ensure!(
        packages.len() == 1,
        "linux-image-cloud-amd64 depends on {packages:?}, not on one kernel"
    );
    for package in packages.clone() {
        packages.extend(suite.depends(&package)?.into_iter().filter(versioned));
    }
    Ok(packages)
}

fn modules_directory(root: &Path) -> Result<PathBuf> {
    let places = [root.join("usr/lib/modules"), root.join("lib/modules")];
    let place = places.iter().find(|place| place.is_dir()).context("the package has no modules")?;
    only_entry(place)
}

/// Debian keeps the image in /boot, or beside the modules since 7.x.
fn find_image(root: &Path, modules: &Path) -> Result<PathBuf> {
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let places = [root.join("boot").join(format!("vmlinuz-{release}")), modules.join("vmlinuz")];
    places.into_iter().find(|place| place.is_file()).context("the package has no vmlinuz")
}

fn only_entry(directory: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot list {}", directory.display()))?
        .collect::<Result<Vec<_>, _>>()?;
    ensure!(entries.len() == 1, "{} holds {} entries, not one", directory.display(), entries.len());
    entries.first().map(fs::DirEntry::path).context("an empty directory")
}
