//! Puts the wrapper onto the node: each version in a directory of its own, and links that are
//! changed by rename. A container runtime remembers the path of the link, so every link always
//! leads to a whole program, and a version that a running container was made with stays.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use serde::Serialize;

/// The program, and the names under which it stands in front of a runtime.
const PROGRAM: &str = "bulkhead-runtime";
const LINKS: [&str; 3] = [PROGRAM, "bulkhead-runc", "bulkhead-crun"];

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// A step failed.
    #[error("cannot {step} {path}")]
    Step {
        /// What was done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The version is there with another content.
    #[error(
        "{path} is there and is another program: a version is never overwritten, because running \
         containers may use it. Remove it once no container does"
    )]
    Differs {
        /// The program.
        path: PathBuf,
    },
}

/// What is on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Installed {
    /// The program of this version.
    pub(crate) program: PathBuf,
    /// The links, each with where it leads.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
    /// Other versions that are kept.
    pub(crate) kept: Vec<String>,
}

/// The place of an installation.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    directory: PathBuf,
}

impl Installation {
    /// In this directory, as the container runtime sees it too.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    fn versions(&self) -> PathBuf {
        self.directory.join("versions")
    }

    fn link(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }

    /// What is there now; links that lead nowhere are left out.
    pub(crate) fn look(&self, version: &str) -> Result<Installed, InstallError> {
        let mut links = Vec::new();
        for name in LINKS {
            let link = self.link(name);
            if let Ok(target) = fs::canonicalize(&link) {
                links.push((link, target));
            }
        }
        let mut kept = Vec::new();
        match fs::read_dir(self.versions()) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(failed("list", &self.versions()))?;
                    kept.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("list", &self.versions())(error)),
        }
        kept.retain(|name| name != version);
        kept.sort();
        Ok(Installed { program: self.versions().join(version).join(PROGRAM), links, kept })
    }
}

/// Installs `program` as `version`. Done twice it changes nothing.
pub(crate) fn install(
    program: &Path,
    version: &str,
    place: &Installation,
) -> Result<Installed, InstallError> {
    let bytes = fs::read(program).map_err(failed("read", program))?;
    let target = place.versions().join(version).join(PROGRAM);
    put(&bytes, &target)?;
    for name in LINKS {
        // Relative, so that it holds where the node's directory is mounted elsewhere.
        let to = Path::new("../versions").join(version).join(PROGRAM);
        relink(&to, &place.link(name))?;
    }
    place.look(version)
}

fn put(bytes: &[u8], target: &Path) -> Result<(), InstallError> {
    match fs::read(target) {
        Ok(there) if there == bytes => return Ok(()),
        Ok(_) => return Err(InstallError::Differs { path: target.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", target)(error)),
    }
    let directory = parent(target)?;
    let write = || -> io::Result<()> {
        use io::Write;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
        file.as_file().sync_all()?;
        file.persist_noclobber(target).map(drop).map_err(|failed| failed.error)
    };
    write().map_err(failed("write", target))
}

fn relink(to: &Path, link: &Path) -> Result<(), InstallError> {
    let directory = parent(link)?;
    let made = tempfile::Builder::new()
        .prefix(".link-")
        .make_in(directory, |new| symlink(to, new))
        .and_then(|new| new.into_temp_path().persist(link).map_err(|failed| failed.error));
    made.map_err(failed("set the link", link))
}

fn parent(path: &Path) -> Result<&Path, InstallError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(failed("make", directory))?;
    Ok(directory)
}

fn failed(step: &'static str, path: &Path) -> impl Fn(io::Error) -> InstallError {
    let path = path.to_owned();
    move |source| InstallError::Step { step, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(directory: &Path, text: &str) -> PathBuf {
        let path = directory.join("program");
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn every_link_leads_to_the_new_version_and_the_old_one_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let place = Installation::in_directory(&directory.path().join("opt"));
        install(&program(directory.path(), "one"), "1", &place).unwrap();
        let done = install(&program(directory.path(), "two"), "2", &place).unwrap();
        assert_eq!(done.kept, ["1"]);
        assert_eq!(done.links.len(), 3);
        for (link, target) in &done.links {
            assert_eq!(fs::read(link).unwrap(), b"two");
            assert_eq!(*target, fs::canonicalize(&done.program).unwrap());
        }
        assert_eq!(
            fs::read(directory.path().join("opt/versions/1").join(PROGRAM)).unwrap(),
            b"one"
        );
        let mode = fs::metadata(&done.program).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        let left: Vec<_> = fs::read_dir(directory.path().join("opt/bin")).unwrap().collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn a_version_is_installed_twice_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let place = Installation::in_directory(directory.path());
        let one = install(&program(directory.path(), "one"), "1", &place).unwrap();
        assert_eq!(install(&program(directory.path(), "one"), "1", &place).unwrap(), one);
        let refused = install(&program(directory.path(), "two"), "1", &place).unwrap_err();
        assert!(matches!(refused, InstallError::Differs { .. }));
        assert_eq!(fs::read(one.program).unwrap(), b"one");
    }

    #[test]
    fn nothing_installed_is_nothing_and_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let found = Installation::in_directory(directory.path()).look("1").unwrap();
        assert!(found.links.is_empty() && found.kept.is_empty());
    }
}
