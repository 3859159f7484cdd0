//! Debian packages from any suite, through package lists of our own.
//!
//! The machine's own lists and sources stay as they are; only the address of the mirror is taken
//! from them, so that this works wherever the machine itself can install packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{cache, command, progress::Step};

mod mirror;

pub(crate) use mirror::Mirrors;

/// Package lists older than this are fetched anew before something is downloaded.
const LISTS_KEEP: Duration = Duration::from_secs(12 * 3600);

/// The key that signs all of Debian's suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Unpacks a package of a suite below `dest`, without installing anything.
///
/// With a `version_prefix` the newest version that begins with it is taken, else the newest.
pub(crate) fn unpack(
    suite: &str,
    package: &str,
    version_prefix: Option<&str>,
    dest: &Path,
) -> Result<()> {
    let downloads = tempfile::tempdir().context("cannot make a directory for downloads")?;
    let suite = Suite::open(suite)?;
    let version = suite.version(package, version_prefix)?;
    let step = Step::begin("debian", format!("downloading {package} {version}"));
    let archive = suite.download(package, &version, downloads.path())?;
    fs::create_dir_all(dest).with_context(|| format!("cannot make {}", dest.display()))?;
    command::run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(dest))?;
    step.done();
    Ok(())
}

/// One suite's package lists, kept in the cache.
#[derive(Debug)]
pub(crate) struct Suite {
    name: String,
    home: PathBuf,
}

impl Suite {
    /// Opens a suite's lists, fetching them if they are missing or old.
    pub(crate) fn open(name: &str) -> Result<Self> {
        let home = cache::root().join("apt").join(name);
        let _lock = cache::lock(&home.with_file_name(format!("{name}.lock")))?;
        let suite = Self { name: name.to_owned(), home };
        suite.write_configuration(&source_line(name)?)?;
        if !suite.lists_are_fresh() {
            suite.update()?;
        }
        Ok(suite)
    }

    fn write_configuration(&self, source: &str) -> Result<()> {
        for below in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(self.home.join(below))
                .with_context(|| format!("cannot make {}/{below}", self.home.display()))?;
        }
        let list = self.home.join("sources.list");
        if fs::read_to_string(&list).ok().as_deref() != Some(source) {
            fs::write(&list, source).with_context(|| format!("cannot write {}", list.display()))?;
        }
        let status = self.home.join("status");
        if !status.exists() {
            fs::write(&status, "").with_context(|| format!("cannot write {}", status.display()))?;
        }
        Ok(())
    }

    fn stamp(&self) -> PathBuf {
        self.home.join("updated")
    }

    fn lists_are_fresh(&self) -> bool {
        let age =
            fs::metadata(self.stamp()).and_then(|meta| meta.modified()).map(|at| at.elapsed());
        matches!(age, Ok(Ok(age)) if age < LISTS_KEEP)
    }

    fn update(&self) -> Result<()> {
        let step = Step::begin("debian", format!("fetching the package lists of {}", self.name));
        command::run(self.apt("apt-get").arg("update"))?;
        fs::write(self.stamp(), "").context("cannot note the time of the update")?;
        step.done();
        Ok(())
    }

    /// An apt program that sees this suite alone, and nothing of what the machine has installed.
    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        let at = |below: &str| self.home.join(below).display().to_string();
        for (option, value) in [
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::Etc::preferencesparts", "-".to_owned()),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", at("")),
            ("Dir::Cache::archives", at("archives")),
            ("APT::Architecture", "amd64".to_owned()),
            ("APT::Architectures", "amd64".to_owned()),
            ("APT::Sandbox::User", "root".to_owned()),
            ("APT::Get::List-Cleanup", "true".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Acquire::Retries", "3".to_owned()),
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".to_owned()),
        ] {
            apt.arg("-o").arg(format!("{option}={value}"));
        }
        apt.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        apt
    }

    /// The newest version of a package that begins with the prefix.
    pub(crate) fn version(&self, package: &str, prefix: Option<&str>) -> Result<String> {
        let table = command::output(self.apt("apt-cache").args(["madison", package]))?;
        let versions = table.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
        let mut fitting = versions.clone().filter(|v| v.starts_with(prefix.unwrap_or_default()));
        fitting.next().map(str::to_owned).with_context(|| {
            let offered = versions.collect::<Vec<_>>().join(", ");
            format!(
                "{} has no package {package} {}* (offered: {})",
                self.name,
                prefix.unwrap_or_default(),
                if offered.is_empty() { "none" } else { &offered },
            )
        })
    }

    /// The packages that a package depends on by name, without alternatives or virtual ones.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>> {
        let table =
            command::output(self.apt("apt-cache").args(["depends", "--important", package]))?;
        let names = table.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.filter(|name| !name.starts_with('<')).map(str::to_owned).collect())
    }

    /// Downloads one package and returns the archive's path in `into`.
    pub(crate) fn download(&self, package: &str, version: &str, into: &Path) -> Result<PathBuf> {
        let wanted = format!("{package}={version}");
        let mut get = self.apt("apt-get");
        get.args(["download", &wanted]).current_dir(into);
        command::run(&mut get)?;
        let prefix = format!("{package}_");
        for entry in fs::read_dir(into)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)) {
                return Ok(path);
            }
        }
        bail!("apt-get downloaded {wanted} but left no {prefix}*.deb in {}", into.display())
    }
}

/// The line of a sources list for a suite.
pub(crate) fn source_line(suite: &str) -> Result<String> {
    ensure!(
        Path::new(KEYRING).exists(),
        "{KEYRING} is missing: install the package debian-archive-keyring"
    );
    let mirrors = Mirrors::of_this_machine()?;
    let address = mirrors.address(suite)?;
    Ok(format!("deb [signed-by={KEYRING}] {address} {suite} main\n"))
}
