//! What each tenant's level asks of a new container: a file that the agent writes from its
//! configuration, whole and by rename, each time the configuration changes.

use std::{
    collections::BTreeMap, fs, io, io::Read, os::unix::fs::MetadataExt, path::Path, path::PathBuf,
};

use serde::{Deserialize, Serialize};

/// The version of the format; a file of another one is refused.
pub const FORMAT: u32 = 1;

/// Thousands of tenants fit; what is larger was not written by the agent.
const MAX_SIZE: u64 = 16 << 20;

/// Writable by the group or by others.
const OTHERS_WRITE: u32 = 0o022;

/// What a level asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Asked {
    /// The level's name.
    pub level: String,
    /// The capabilities that may be held, as `CAP_CHOWN`; all where there is no list.
    pub capabilities: Option<Vec<String>>,
    /// Whether a program's set-user-id bit is to give nothing.
    pub no_new_privileges: bool,
    /// Paths that are to be hidden.
    pub masked_paths: Vec<String>,
    /// Paths that are to be read-only.
    pub readonly_paths: Vec<String>,
    /// The most that each limit may be, as `RLIMIT_CORE`.
    pub rlimits: BTreeMap<String, u64>,
    /// A seccomp profile, an absolute path, for a container that has none.
    pub seccomp: Option<PathBuf>,
    /// An AppArmor profile's name, for a container that is unconfined.
    pub apparmor: Option<String>,
}

/// A tenant: what it claims, and the place of what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its namespaces: a name, or a beginning and `*`.
    pub namespaces: Vec<String>,
    /// Its cgroups: `/a/b`, or `/a/b/*`.
    pub cgroups: Vec<String>,
    /// Its place in [`Levels::asked`].
    pub asked: usize,
}

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Levels {
    /// [`FORMAT`].
    pub format: u32,
    /// What is asked of somebody, each once.
    pub asked: Vec<Asked>,
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// The place of what is asked of everybody else.
    pub default: usize,
}

/// Why there are no levels.
#[derive(Debug, thiserror::Error)]
pub enum LevelsError {
    /// The file could not be read.
    #[error("{path} cannot be read: {source}. The node's agent writes it (`bulkhead run`)")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than root may have written it.
    #[error("{path} must belong to root and be writable by nobody else")]
    Owner {
        /// The file.
        path: PathBuf,
    },
    /// It is not what the agent writes.
    #[error("{path} is broken: {why}. The node's agent writes it anew when it starts")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Levels {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is missing, broken, or may have been written by others than root.
    pub fn load(path: &Path) -> Result<Self, LevelsError> {
        let failed = |source| LevelsError::Read { path: path.to_owned(), source };
        let broken = |why| LevelsError::Broken { path: path.to_owned(), why };
        let file = fs::File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.mode() & OTHERS_WRITE != 0 || metadata.uid() != nix::unistd::geteuid().as_raw()
        {
            return Err(LevelsError::Owner { path: path.to_owned() });
        }
        let mut text = Vec::new();
        file.take(MAX_SIZE + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > MAX_SIZE {
            return Err(broken(format!("it is larger than {MAX_SIZE} bytes")));
        }
        Self::parse(&text).map_err(broken)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let levels: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if levels.format != FORMAT {
            return Err(format!("its format is {}, not {FORMAT}", levels.format));
        }
        let places = levels.tenants.iter().map(|tenant| tenant.asked).chain([levels.default]);
        match places.into_iter().find(|place| *place >= levels.asked.len()) {
            Some(place) => Err(format!("nothing is asked at place {place}")),
            None => Ok(levels),
        }
    }

    /// What is asked of a container, by the rules of the agent's own policy: a claim by cgroup goes
    /// before one by namespace, and of two of a kind the closer one counts.
    pub fn asked_of(&self, namespace: Option<&str>, cgroup: &str) -> Option<&Asked> {
        let tenant = self.by_cgroup(cgroup).or_else(|| self.by_namespace(namespace?));
        self.asked.get(tenant.map_or(self.default, |tenant| tenant.asked))
    }

    fn by_namespace(&self, namespace: &str) -> Option<&Tenant> {
        let fit = |claim: &str| match claim.strip_suffix('*') {
            Some(beginning) => namespace.starts_with(beginning).then_some(beginning.len()),
            None => (namespace == claim).then_some(usize::MAX),
        };
        let claims = |tenant: &'_ Tenant| tenant.namespaces.iter().filter_map(|it| fit(it)).max();
        let fitting = self.tenants.iter().filter_map(|tenant| Some((tenant, claims(tenant)?)));
        fitting.max_by_key(|(_, fit)| *fit).map(|(tenant, _)| tenant)
    }

    fn by_cgroup(&self, path: &str) -> Option<&Tenant> {
        let fit = |claim: &str| {
            let (claim, children) = match claim.strip_suffix("/*") {
                Some(parent) => (parent, true),
                None => (claim, false),
            };
            let below = path.strip_prefix(claim)?;
            let name = below.strip_prefix('/').and_then(|below| below.split('/').next());
            match (children, name) {
                (true, Some(name)) if !name.is_empty() => Some((claim.len() + 1 + name.len(), 0)),
                (false, Some(_)) => Some((claim.len(), 1)),
                (false, None) if below.is_empty() => Some((claim.len(), 1)),
                _ => None,
            }
        };
        let claims = |tenant: &'_ Tenant| tenant.cgroups.iter().filter_map(|it| fit(it)).max();
        let fitting = self.tenants.iter().filter_map(|tenant| Some((tenant, claims(tenant)?)));
        fitting.max_by_key(|(_, fit)| *fit).map(|(tenant, _)| tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels() -> Levels {
        let asked = |level: &str| Asked { level: level.to_owned(), ..Asked::default() };
        let tenant = |name: &str, namespaces: &[&str], cgroups: &[&str], asked| Tenant {
            name: name.to_owned(),
            namespaces: namespaces.iter().map(|&it| it.to_owned()).collect(),
            cgroups: cgroups.iter().map(|&it| it.to_owned()).collect(),
            asked,
        };
        Levels {
            format: FORMAT,
            asked: vec![asked("trusted"), asked("semi-trusted"), asked("untrusted")],
            tenants: vec![
                tenant("a", &["a", "dev-*"], &["/own/*"], 1),
                tenant("b", &["dev-b-*", "b"], &["/own/b"], 2),
            ],
            default: 0,
        }
    }

    fn level(namespace: Option<&str>, cgroup: &str) -> String {
        levels().asked_of(namespace, cgroup).unwrap().level.clone()
    }

    #[test]
    fn the_closest_claim_counts() {
        assert_eq!(level(Some("a"), ""), "semi-trusted");
        assert_eq!(level(Some("dev-x"), ""), "semi-trusted");
        assert_eq!(level(Some("dev-b-x"), ""), "untrusted");
        assert_eq!(level(Some("else"), ""), "trusted");
        assert_eq!(level(None, ""), "trusted");
    }

    #[test]
    fn a_cgroup_goes_before_a_namespace() {
        assert_eq!(level(Some("b"), "/own/x"), "semi-trusted");
        assert_eq!(level(Some("a"), "/own/b"), "untrusted");
        assert_eq!(level(Some("a"), "/own/b/c"), "untrusted");
        assert_eq!(level(Some("b"), "/own"), "untrusted");
        assert_eq!(level(None, "/owner"), "trusted");
    }

    #[test]
    fn a_file_that_is_not_the_agent_s_is_refused() {
        let text = serde_json::to_string(&levels()).unwrap();
        assert_eq!(Levels::parse(text.as_bytes()), Ok(levels()));
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("\"default\":0", "\"default\":9"),
            ("}", ""),
            ("level", "levle"),
        ] {
            assert!(Levels::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
        for end in 0..text.len() {
            assert!(Levels::parse(&text.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("levels.json");
        fs::write(&path, serde_json::to_string(&levels()).unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Levels::load(&path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(matches!(Levels::load(&path), Err(LevelsError::Owner { .. })));
        let missing = Levels::load(&directory.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("none cannot be read") && missing.contains("agent"), "{missing}");
    }
}
