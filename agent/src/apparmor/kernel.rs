//! The kernel's interface: what is loaded, and load, replace, remove.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::policy::Mode;

const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
const INTERFACE: &str = "/sys/kernel/security/apparmor";

/// Profiles lie in each other: a child below its parent. More than this no parser makes.
const MAX_DEPTH: usize = 8;

/// Why the kernel did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KernelError {
    /// AppArmor is off.
    #[error(
        "AppArmor is not active on this node: no profile can hold anything. Add `apparmor` to \
         `lsm=` on the kernel's command line"
    )]
    Inactive,
    /// The interface is not there.
    #[error(
        "AppArmor is active, but {INTERFACE} is not there: mount securityfs (`mount -t securityfs \
         securityfs /sys/kernel/security`), in a container as a host path"
    )]
    NoInterface,
    /// A file of the interface could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A policy was not taken. What was in force is still in force.
    #[error(
        "the kernel does not take the policy: {why} ({source}). What was in force is still in force"
    )]
    Refused {
        /// What the error means here.
        why: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A loaded profile.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Profile {
    /// Its name; a child's has its parent's and `//` in front.
    pub(crate) name: String,
    /// How it holds; nothing where the kernel uses a word that is not known here.
    pub(crate) mode: Option<Mode>,
    /// The kernel's own hash of its content, where it makes one.
    pub(crate) sha: Option<String>,
}

/// The interface.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    interface: PathBuf,
}

impl Kernel {
    /// This node's, where AppArmor is active.
    pub(crate) fn open() -> Result<Self, KernelError> {
        if !fs::read_to_string(ENABLED).is_ok_and(|text| text.starts_with('Y')) {
            return Err(KernelError::Inactive);
        }
        let kernel = Self::at(INTERFACE);
        if kernel.profiles_directory().is_dir() {
            Ok(kernel)
        } else {
            Err(KernelError::NoInterface)
        }
    }

    /// One that looks like it.
    pub(super) fn at(interface: impl Into<PathBuf>) -> Self {
        Self { interface: interface.into() }
    }

    /// Every profile of the node's policy namespace, by name.
    pub(crate) fn profiles(&self) -> Result<Vec<Profile>, KernelError> {
        let mut found = Vec::new();
        gather(&self.profiles_directory(), "", 0, &|_| true, &mut found)?;
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// The profile of this name.
    pub(crate) fn profile(&self, name: &str) -> Result<Option<Profile>, KernelError> {
        // A directory is called by the profile's name and a number, but for signs that a file name
        // cannot have.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let looked_at = |directory: &str| !name.chars().all(plain) || directory.starts_with(name);
        let mut found = Vec::new();
        gather(&self.profiles_directory(), "", 0, &looked_at, &mut found)?;
        Ok(found.into_iter().find(|profile| profile.name == name))
    }

    /// Loads a compiled policy if none of its names is taken.
    pub(super) fn load(&self, policy: &[u8]) -> Result<(), KernelError> {
        self.write(".load", policy)
    }

    /// Loads a compiled policy over what its names mean now.
    pub(super) fn replace(&self, policy: &[u8]) -> Result<(), KernelError> {
        self.write(".replace", policy)
    }

    /// Removes a profile with its children. Whom it holds is held no longer: see [`super::unload`].
    pub(super) fn remove(&self, name: &str) -> Result<(), KernelError> {
        self.write(".remove", name.as_bytes())
    }

    /// One call, or nothing: the kernel takes a policy only as a whole.
    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), KernelError> {
        let refused = |source: io::Error| KernelError::Refused { why: why(&source), source };
        let path = self.interface.join(file);
        let mut file = File::options().write(true).open(path).map_err(refused)?;
        match file.write(bytes).map_err(refused)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(refused(io::Error::from(io::ErrorKind::WriteZero))),
        }
    }

    fn profiles_directory(&self) -> PathBuf {
        self.interface.join("policy/profiles")
    }
}

fn why(error: &io::Error) -> &'static str {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EEXIST) => "a profile of that name is loaded",
        Some(Errno::ENOENT) => "no profile of that name is loaded",
        Some(Errno::EPERM | Errno::EACCES) => {
            "that takes root with CAP_MAC_ADMIN, held by no profile, and a policy that is not locked"
        }
        Some(Errno::EROFS) => "/sys/kernel/security is read-only here",
        Some(Errno::EPROTONOSUPPORT) => "it was compiled for another kernel",
        Some(Errno::EPROTO | Errno::EBADMSG) => "it is not well-formed",
        Some(Errno::ENOMEM) => "there is no memory for it",
        _ => "the kernel says why",
    }
}

fn gather(
    directory: &Path,
    parent: &str,
    depth: usize,
    looked_at: &dyn Fn(&str) -> bool,
    found: &mut Vec<Profile>,
) -> Result<(), KernelError> {
    let failed = |source| KernelError::Read { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        // No child, or a profile that is gone meanwhile.
        Err(error) if is_gone(&error) && depth > 0 => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if depth == 0 && !entry.file_name().to_str().is_none_or(looked_at) {
            continue;
        }
        let path = entry.path();
        let Some(own) = line(&path.join("name"))? else { continue };
        // The kernel gives a child's own name alone.
        let name = if parent.is_empty() { own } else { format!("{parent}//{own}") };
        let mode = line(&path.join("mode"))?;
        let sha = match line(&path.join("sha256"))? {
            Some(sha) => Some(sha),
            None => line(&path.join("sha1"))?,
        };
        if depth < MAX_DEPTH {
            gather(&path.join("profiles"), &name, depth + 1, looked_at, found)?;
        }
        let mode = mode.and_then(|word| Mode::parse(&word));
        found.push(Profile { name, mode, sha: sha.filter(|sha| !sha.is_empty()) });
    }
    Ok(())
}

/// A file of one line; `None` where there is none, or none any more.
fn line(path: &Path) -> Result<Option<String>, KernelError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim_end_matches('\n').to_owned())),
        Err(error) if is_gone(&error) => Ok(None),
        Err(source) => Err(KernelError::Read { path: path.to_owned(), source }),
    }
}

fn is_gone(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let codes = [Errno::ENOENT, Errno::ESTALE, Errno::EINVAL].map(|it| Some(it as i32));
    codes.contains(&error.raw_os_error())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Files that look like the kernel's. What is written stays in them.
    pub(crate) fn double(directory: &Path) -> Kernel {
        fs::create_dir_all(directory.join("policy/profiles")).unwrap();
        for file in [".load", ".replace", ".remove"] {
            fs::write(directory.join(file), "").unwrap();
        }
        Kernel::at(directory)
    }

    /// A loaded profile.
    pub(crate) fn put(directory: &Path, below: &str, name: &str, mode: &str, sha: &str) {
        let path = directory.join(below);
        fs::create_dir_all(&path).unwrap();
        for (file, text) in [("name", name), ("mode", mode), ("sha256", sha)] {
            fs::write(path.join(file), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn profiles_are_listed_with_their_children() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = double(directory.path());
        put(directory.path(), "policy/profiles/b.2", "b", "complain", "22");
        put(directory.path(), "policy/profiles/a.1", "a", "enforce", "11");
        put(directory.path(), "policy/profiles/a.1/profiles/c.3", "c", "mixed", "");
        let listed = kernel.profiles().unwrap();
        let names: Vec<&str> = listed.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "a//c", "b"]);
        assert_eq!((listed[0].mode, listed[0].sha.as_deref()), (Some(Mode::Enforce), Some("11")));
        assert_eq!((listed[1].mode, listed[1].sha.as_deref()), (None, None));
        assert_eq!(kernel.profile("b").unwrap().unwrap().mode, Some(Mode::Complain));
        assert_eq!(kernel.profile("c").unwrap(), None, "a child has its parent's name too");
    }

    #[test]
    fn a_refusal_says_what_it_means_and_that_nothing_changed() {
        let directory = tempfile::tempdir().unwrap();
        let error = Kernel::at(directory.path()).replace(b"x").unwrap_err().to_string();
        assert!(error.contains("still in force"), "{error}");
        let of = |errno: nix::errno::Errno| why(&io::Error::from(errno));
        assert!(of(nix::errno::Errno::EACCES).contains("CAP_MAC_ADMIN"));
        assert!(of(nix::errno::Errno::EEXIST).contains("loaded"));
    }
}
