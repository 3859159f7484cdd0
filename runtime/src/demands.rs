//! What a level asks, together with what this node has for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::value::RawValue;

use crate::{
    json::{JsonError, Object},
    levels::Asked,
    patch::Lacks,
};

const APPARMOR_ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
/// One directory a loaded profile, called by its name and a number.
const APPARMOR_LOADED: &str = "/sys/kernel/security/apparmor/policy/profiles";

/// What a container's configuration is held to.
#[derive(Debug, Default)]
pub struct Demands {
    /// The capabilities that may be held, as `CAP_CHOWN`; all where there is none.
    pub capabilities: Option<BTreeSet<String>>,
    /// Whether no_new_privs is set.
    pub no_new_privileges: bool,
    /// Paths that are hidden.
    pub masked_paths: Vec<String>,
    /// Paths that are read-only.
    pub readonly_paths: Vec<String>,
    /// The most that each limit may be.
    pub rlimits: BTreeMap<String, u64>,
    /// A seccomp profile for a container without one.
    pub seccomp: Option<Box<RawValue>>,
    /// An AppArmor profile for a container without one.
    pub apparmor: Option<String>,
}

/// Why a level's demand cannot be met on this node.
#[derive(Debug, thiserror::Error)]
pub enum DemandError {
    /// The seccomp profile is not there.
    #[error("the seccomp profile {path} of level {level} cannot be read: {source}")]
    Seccomp {
        /// The file.
        path: PathBuf,
        /// The level.
        level: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The seccomp profile is no profile.
    #[error("the seccomp profile {path} of level {level} is no OCI profile: {why}")]
    SeccompBroken {
        /// The file.
        path: PathBuf,
        /// The level.
        level: String,
        /// What is wrong.
        why: String,
    },
    /// The AppArmor profile is not loaded.
    #[error(
        "the AppArmor profile {name} of level {level} is not loaded: run the node's agent, or \
         `bulkhead apparmor load`"
    )]
    AppArmor {
        /// The profile.
        name: String,
        /// The level.
        level: String,
    },
    /// The container's own configuration cannot be read.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl Demands {
    /// What is asked of a container or process that lacks this, with this node's profiles.
    ///
    /// # Errors
    /// When a profile that it needs is missing.
    pub fn on_this_node(asked: &Asked, lacks: Lacks) -> Result<Self, DemandError> {
        Ok(Self {
            seccomp: if lacks.seccomp { seccomp(asked)? } else { None },
            apparmor: if lacks.apparmor { apparmor(asked)? } else { None },
            ..Self::of_values(asked)
        })
    }

    fn of_values(asked: &Asked) -> Self {
        Self {
            capabilities: asked.capabilities.as_ref().map(|it| it.iter().cloned().collect()),
            no_new_privileges: asked.no_new_privileges,
            masked_paths: asked.masked_paths.clone(),
            readonly_paths: asked.readonly_paths.clone(),
            rlimits: asked.rlimits.clone(),
            seccomp: None,
            apparmor: None,
        }
    }

    /// What a container's own configuration holds its first process to: the measure for a process
    /// that joins it while its level cannot be told.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub fn of_container(configuration: &Object<'_>) -> Result<Self, DemandError> {
        let Some(process) = configuration.object("process")? else {
            return Ok(Self { capabilities: Some(BTreeSet::new()), ..Self::default() });
        };
        let bounding = match process.object("capabilities")? {
            Some(capabilities) => capabilities.read::<BTreeSet<String>>("bounding")?,
            None => None,
        };
        let named = |name: &String| !name.is_empty() && name != "unconfined";
        Ok(Self {
            capabilities: Some(bounding.unwrap_or_default()),
            no_new_privileges: process.read("noNewPrivileges")?.unwrap_or_default(),
            apparmor: process.read("apparmorProfile")?.filter(named),
            ..Self::default()
        })
    }
}

fn seccomp(asked: &Asked) -> Result<Option<Box<RawValue>>, DemandError> {
    let Some(path) = &asked.seccomp else { return Ok(None) };
    let level = asked.level.clone();
    let broken = |why| DemandError::SeccompBroken { path: path.clone(), level: level.clone(), why };
    let text = fs::read_to_string(path).map_err(|source| DemandError::Seccomp {
        path: path.clone(),
        level: level.clone(),
        source,
    })?;
    let profile = Object::parse(text.as_bytes()).map_err(|error| broken(error.to_string()))?;
    match profile.read::<String>("defaultAction") {
        Ok(Some(action)) if action != "SCMP_ACT_ALLOW" => {}
        Ok(Some(_)) => return Err(broken("it allows what it does not name".to_owned())),
        Ok(None) => return Err(broken("it has no defaultAction".to_owned())),
        Err(error) => return Err(broken(error.to_string())),
    }
    RawValue::from_string(text.trim().to_owned()).map(Some).map_err(|it| broken(it.to_string()))
}

/// The profile's name where AppArmor is on.
fn apparmor(asked: &Asked) -> Result<Option<String>, DemandError> {
    let enabled = fs::read_to_string(APPARMOR_ENABLED).is_ok_and(|text| text.starts_with('Y'));
    let Some(name) = asked.apparmor.clone().filter(|_| enabled) else { return Ok(None) };
    match is_loaded(Path::new(APPARMOR_LOADED), &name) {
        Ok(false) => Err(DemandError::AppArmor { name, level: asked.level.clone() }),
        // Where the list cannot be seen, the runtime finds out.
        Ok(true) | Err(_) => Ok(Some(name)),
    }
}

fn is_loaded(list: &Path, name: &str) -> io::Result<bool> {
    let mut found = false;
    for entry in fs::read_dir(list)? {
        let directory = entry?.file_name().into_string().unwrap_or_default();
        let number = directory.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        found |= number.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(seccomp: &Path) -> Asked {
        Asked { level: "x".into(), seccomp: Some(seccomp.to_owned()), ..Asked::default() }
    }

    #[test]
    fn a_seccomp_profile_that_is_missing_or_none_is_told_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profile.json");
        let told = |path: &Path| seccomp(&asked(path)).unwrap_err().to_string();
        assert!(told(&path).contains("profile.json of level x cannot be read"));
        for text in ["", "{", "[]", "{}", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}"] {
            fs::write(&path, text).unwrap();
            assert!(told(&path).contains("is no OCI profile"), "{text}");
        }
        fs::write(&path, "{\"defaultAction\":\"SCMP_ACT_ERRNO\"}\n").unwrap();
        assert!(seccomp(&asked(&path)).unwrap().is_some());
    }

    #[test]
    fn a_loaded_profile_is_known_by_its_whole_name() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["bulkhead-x.3", "bulkhead-xy.4", "bulkhead-z.old.5"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        assert!(is_loaded(directory.path(), "bulkhead-x").unwrap());
        assert!(!is_loaded(directory.path(), "bulkhead-z").unwrap());
        assert!(!is_loaded(directory.path(), "bulkhead").unwrap());
        assert!(is_loaded(&directory.path().join("none"), "x").is_err());
    }

    #[test]
    fn a_container_s_own_configuration_is_a_measure() {
        let text = br#"{"process":{"capabilities":{"bounding":["CAP_KILL"]},"noNewPrivileges":true,
            "apparmorProfile":"p"}}"#;
        let demands = Demands::of_container(&Object::parse(text).unwrap()).unwrap();
        assert_eq!(demands.capabilities.unwrap().into_iter().collect::<Vec<_>>(), ["CAP_KILL"]);
        assert!(demands.no_new_privileges);
        assert_eq!(demands.apparmor.as_deref(), Some("p"));
        let nothing = Demands::of_container(&Object::parse(b"{\"process\":{}}").unwrap()).unwrap();
        assert_eq!(nothing.capabilities, Some(BTreeSet::new()));
    }
}
