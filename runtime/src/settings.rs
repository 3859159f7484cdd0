//! The wrapper's own few settings: a small static file, with a value for everything that it does
//! not say. A file that is there and cannot be read refuses the containers of tenants and nothing
//! else.

use std::{collections::BTreeMap, env, fs, io, path::Path, path::PathBuf};

use serde::Deserialize;

/// Names another settings file. The environment is the container runtime's.
pub const VARIABLE: &str = "BULKHEAD_RUNTIME_CONFIG";
const FILE: &str = "/etc/bulkhead/runtime.json";

/// The settings file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct File {
    levels: PathBuf,
    system_namespaces: Vec<String>,
    runtime: String,
    runtimes: BTreeMap<String, PathBuf>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            levels: PathBuf::from("/run/bulkhead/levels.json"),
            system_namespaces: ["kube-system", "bulkhead-system"].map(str::to_owned).into(),
            runtime: "runc".to_owned(),
            runtimes: BTreeMap::new(),
        }
    }
}

/// What the wrapper is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file that the agent writes.
    pub levels: PathBuf,
    /// Namespaces of the platform, whose containers are never changed and never refused.
    pub system_namespaces: Vec<String>,
    /// The runtime behind a wrapper whose name says none.
    pub runtime: String,
    /// Where runtimes are that no search path leads to.
    pub runtimes: BTreeMap<String, PathBuf>,
    /// What is wrong with the file; the values are those of no file then.
    pub fault: Option<String>,
}

impl Settings {
    /// Reads the settings of this node.
    #[must_use]
    pub fn of_this_node() -> Self {
        let path = env::var_os(VARIABLE).map_or_else(|| PathBuf::from(FILE), PathBuf::from);
        Self::load(&path)
    }

    /// Reads this file.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let (file, fault) = match fs::read(path) {
            // A list would be taken for the values in their order.
            Ok(text) if text.trim_ascii_start().starts_with(b"[") => {
                (File::default(), Some(format!("{} is broken: it is a list", path.display())))
            }
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(file) => (file, None),
                Err(error) => {
                    (File::default(), Some(format!("{} is broken: {error}", path.display())))
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => (File::default(), None),
            Err(error) => {
                (File::default(), Some(format!("{} cannot be read: {error}", path.display())))
            }
        };
        let File { levels, system_namespaces, runtime, runtimes } = file;
        Self { levels, system_namespaces, runtime, runtimes, fault }
    }

    /// Whether a namespace is the platform's.
    #[must_use]
    pub fn is_system(&self, namespace: Option<&str>) -> bool {
        namespace.is_some_and(|name| self.system_namespaces.iter().any(|system| system == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Settings {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Settings::load(file.path())
    }

    #[test]
    fn without_a_file_everything_has_a_value() {
        let settings = Settings::load(Path::new("/no/such/file"));
        assert_eq!(settings.fault, None);
        assert!(settings.is_system(Some("kube-system")));
        assert!(!settings.is_system(Some("kube-system-2")) && !settings.is_system(None));
    }

    #[test]
    fn a_broken_file_is_a_fault_and_the_platform_is_still_known() {
        for text in ["", "{", "[]", "{\"level\":\"/x\"}", "{\"levels\":3}"] {
            let settings = load(text);
            assert!(settings.fault.is_some(), "{text}");
            assert!(settings.is_system(Some("kube-system")));
        }
        let settings = load(r#"{"levels":"/x","systemNamespaces":["a"],"runtime":"crun"}"#);
        assert_eq!((settings.fault, settings.runtime.as_str()), (None, "crun"));
        assert_eq!(settings.levels, Path::new("/x"));
    }
}
