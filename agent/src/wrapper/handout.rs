//! `levels.json`: what the wrapper gives to new containers, from the policy in force; beside it the
//! seccomp profiles that it names.
//!
//! Each is replaced by rename, so the wrapper reads the old one or the new one. They stay when the
//! agent ends: the policy goes on holding for new containers.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use bulkhead_policy::{
    Policy,
    capability::Capabilities,
    level::Level,
    verify::{MASKED, READ_ONLY},
};
use bulkhead_runtime::levels::{Asked, FORMAT, Levels, Tenant};
use bulkhead_seccomp::levels as seccomp;

use crate::apparmor;

/// Its name in the state directory.
pub(crate) const LEVELS_FILE: &str = "levels.json";

/// What newer runtimes hide beside what all do: how other tenants' work interrupts the node, and
/// the power that it draws.
const MASKED_TOO: [&str; 2] = ["/proc/interrupts", "/sys/devices/virtual/powercap"];

/// Why the wrapper could not be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}, from which the runtime wrapper takes what a level asks")]
pub(crate) struct HandoutError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes the file, and again as long as it could not.
#[derive(Clone, Debug)]
pub(crate) struct Handout {
    path: PathBuf,
    unwritten: Option<Levels>,
    failing: bool,
    /// The levels' AppArmor profiles are loaded, so that a container can be given one.
    app_armor: bool,
}

impl Handout {
    /// In this directory, which is there.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            path: directory.join(LEVELS_FILE),
            unwritten: None,
            failing: false,
            app_armor: false,
        }
    }

    /// Says what is to hold from now on.
    pub(crate) fn change(&mut self, policy: &Policy) {
        self.unwritten = Some(levels(policy, self.directory(), self.app_armor));
    }

    /// The levels' AppArmor profiles are loaded from now on. Before, none is named: the wrapper
    /// refuses a container whose profile is not there.
    pub(crate) fn name_app_armor(&mut self) {
        self.app_armor = true;
    }

    /// Writes what is not written yet. A failure is told once, and its end by what is returned.
    pub(crate) fn publish(&mut self) -> Result<Option<&'static str>, HandoutError> {
        let Some(levels) = &self.unwritten else { return Ok(None) };
        match self.write(levels) {
            Ok(()) => {
                self.unwritten = None;
                let failed = std::mem::take(&mut self.failing);
                Ok(failed.then_some("the runtime wrapper is told of the configuration in force"))
            }
            Err(_) if self.failing => Ok(None),
            Err(source) => {
                self.failing = true;
                Err(HandoutError { path: self.path.clone(), source })
            }
        }
    }

    /// The profiles first: the levels name them.
    fn write(&self, levels: &Levels) -> io::Result<()> {
        for base in seccomp::LEVELS {
            let text = seccomp::text(base).unwrap_or_default();
            let path = seccomp_path(self.directory(), base);
            let named = levels.asked.iter().any(|asked| asked.seccomp.as_ref() == Some(&path));
            if named && fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
                replace(&path, text.as_bytes())?;
            }
        }
        replace(&self.path, &serde_json::to_vec(levels)?)
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new().prefix(".levels-").tempfile_in(directory)?;
    file.write_all(text)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    // The directory may be on a disk: a crash must not leave an empty file.
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|failed| failed.error)
}

fn seccomp_path(directory: &Path, base: &str) -> PathBuf {
    directory.join(format!("seccomp-{base}.json"))
}

/// What the policy asks, in the wrapper's words.
fn levels(policy: &Policy, directory: &Path, app_armor: bool) -> Levels {
    let mut all: Vec<Asked> = Vec::new();
    let mut place = |level: &Level| {
        let asked = asked(level, directory, app_armor);
        let known = all.iter().position(|it| *it == asked);
        known.unwrap_or_else(|| {
            all.push(asked);
            all.len() - 1
        })
    };
    let default = place(policy.default_level());
    let tenants = policy.tenants().iter().map(|tenant| Tenant {
        name: tenant.name().to_owned(),
        namespaces: tenant.namespaces().iter().map(ToString::to_string).collect(),
        cgroups: tenant.cgroups().iter().map(ToString::to_string).collect(),
        asked: place(tenant.level()),
    });
    let tenants = tenants.collect();
    Levels { format: FORMAT, asked: all, tenants, default }
}

fn asked(level: &Level, directory: &Path, app_armor: bool) -> Asked {
    let controls = level.controls();
    let hide = controls.masked_paths.is_required();
    let paths = |paths: &[&str]| -> Vec<String> {
        paths.iter().filter(|_| hide).map(|&path| path.to_owned()).collect()
    };
    let ceiling = Some(level.ceiling()).filter(|ceiling| *ceiling != Capabilities::ALL);
    let seccomp = controls.seccomp.is_required();
    Asked {
        level: level.name().to_owned(),
        capabilities: ceiling.map(|ceiling| ceiling.names().collect()),
        no_new_privileges: controls.no_new_privileges.is_required(),
        masked_paths: paths(&[&MASKED[..], &MASKED_TOO[..]].concat()),
        readonly_paths: paths(&READ_ONLY),
        rlimits: std::collections::BTreeMap::new(),
        seccomp: seccomp.then(|| seccomp_path(directory, level.base())),
        apparmor: (app_armor && controls.app_armor.is_required())
            .then(|| apparmor::levels::name(level.base())),
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_policy::{WorkloadFacts, configuration};

    use super::*;

    const CONFIGURATION: &str = "
defaultLevel: trusted
levels:
  - { name: own, extends: untrusted, controls: { noNewPrivileges: optional } }
tenants:
  - { name: a, level: semi-trusted, namespaces: [a, dev-*] }
  - { name: b, level: untrusted, namespaces: [dev-b*, b], cgroups: [/own/*, /x] }
  - { name: c, level: own, namespaces: [c], cgroups: [/own/c, /x/y/*] }
  - { name: d, level: untrusted, namespaces: [d], capabilities: { ceiling: [CHOWN] } }
";

    fn policy() -> Policy {
        configuration::read("test", CONFIGURATION).unwrap().policy
    }

    #[test]
    fn the_wrapper_finds_the_level_that_the_agent_finds() {
        let (policy, levels) = (policy(), levels(&policy(), Path::new("/d"), false));
        let namespaces = ["a", "b", "c", "d", "dev-", "dev-b", "dev-bb", "dev", "none", ""];
        let cgroups = ["", "/own", "/own/c", "/own/c/z", "/own/b", "/x", "/x/y", "/x/y/z", "/xy"];
        for namespace in namespaces.iter().map(|&name| Some(name)).chain([None]) {
            for cgroup_path in cgroups {
                let facts = WorkloadFacts { namespace, cgroup_path, ..WorkloadFacts::default() };
                let agents = policy.assign(&facts).level;
                let wrappers = &levels.asked_of(namespace, cgroup_path).unwrap().level;
                assert_eq!(*wrappers, agents, "{namespace:?} {cgroup_path}");
            }
        }
    }

    #[test]
    fn a_level_asks_what_its_controls_require() {
        let levels = levels(&policy(), Path::new("/d"), false);
        let of = |namespace| levels.asked_of(Some(namespace), "").unwrap();
        let trusted = Asked { level: "trusted".to_owned(), ..Asked::default() };
        assert_eq!(*of("none"), trusted, "the default level asks nothing");
        let semi = of("a");
        assert!(semi.no_new_privileges);
        assert!(semi.capabilities.as_ref().unwrap().contains(&"CAP_NET_RAW".to_owned()));
        assert!(semi.masked_paths.iter().any(|path| path == "/proc/kcore"));
        assert!(semi.readonly_paths.iter().any(|path| path == "/proc/sys"));
        let own = of("c");
        assert!(!own.no_new_privileges);
        let by_its_base = Path::new("/d/seccomp-untrusted.json");
        assert_eq!(own.seccomp.as_deref(), Some(by_its_base));
        assert_eq!(of("d").capabilities.as_deref(), Some(&["CAP_CHOWN".to_owned()][..]));
        assert_eq!(of("d").level, "untrusted");
    }

    #[test]
    fn an_apparmor_profile_is_named_once_it_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let mut handout = Handout::in_directory(directory.path());
        let mut named = || {
            handout.change(&policy());
            handout.publish().unwrap();
            handout.name_app_armor();
            let levels = Levels::load(&directory.path().join(LEVELS_FILE)).unwrap();
            ["none", "a", "c"].map(|it| levels.asked_of(Some(it), "").unwrap().apparmor.clone())
        };
        assert_eq!(named(), [None, None, None]);
        let [semi, own] = ["bulkhead-semi-trusted", "bulkhead-untrusted"].map(str::to_owned);
        assert_eq!(named(), [None, Some(semi), Some(own)]);
    }

    #[test]
    fn the_file_is_whole_and_the_wrapper_takes_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut handout = Handout::in_directory(directory.path());
        for _ in 0..2 {
            handout.change(&policy());
            assert_eq!(handout.publish().unwrap(), None);
            let read = Levels::load(&directory.path().join(LEVELS_FILE)).unwrap();
            assert_eq!(read, levels(&policy(), directory.path(), false));
        }
        // The levels, and the profiles of the two that require one.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_failure_is_told_once_and_so_is_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let later = directory.path().join("later");
        let mut handout = Handout::in_directory(&later);
        handout.change(&policy());
        assert!(handout.publish().unwrap_err().to_string().contains("later/levels.json"));
        assert_eq!(handout.publish().unwrap(), None);
        fs::create_dir(&later).unwrap();
        assert!(handout.publish().unwrap().is_some());
        assert!(later.join(LEVELS_FILE).exists());
    }
}
