//! Who a container is, from what its runtime has on disk.
//!
//! A runtime writes the bundle before it makes the cgroup, so that the name is there as soon as the
//! cgroup is. Nothing here is written by a tenant: the directories are the runtimes' own, and the
//! annotations read are those that the runtime sets itself.

use std::{
    io,
    io::Read,
    path::{Path, PathBuf},
};

use bulkhead_policy::devices::DeviceRule;
use serde::{Deserialize, de::DeserializeOwned};

use super::announced::Announced;

/// A bundle's configuration is some tens of kilobytes; more is not read.
const MAX_CONFIG: u64 = 8 << 20;

/// State files that are read to find one container.
const MAX_STATES: usize = 1_024;

/// containerd keeps a directory for each namespace here (runtime v2 tasks).
const CONTAINERD_TASKS: &str = "run/containerd/io.containerd.runtime.v2.task";
/// CRI-O and Podman: container storage's overlay driver, as root.
const STORAGE: [&str; 2] =
    ["var/lib/containers/storage/overlay-containers", "run/containers/storage/overlay-containers"];
/// State directories of the low-level runtimes, for containers that nothing above them made.
const RUNTIME_STATE: [(&str, &str, &str); 2] =
    [("run/runc", "state.json", "runc"), ("run/crun", "status", "crun")];

/// Where a low-level runtime says a container's cgroup is: runc's state.json has a path for each
/// controller, with the mount in front; crun's status has one, without.
#[derive(Deserialize)]
struct RuntimeState {
    #[serde(default)]
    cgroup_paths: std::collections::BTreeMap<String, String>,
    #[serde(default, rename = "cgroup-path")]
    cgroup_path: String,
}

impl RuntimeState {
    fn is_at(&self, path: &str, mount: &Path) -> bool {
        let below = |full: &String| {
            let below = Path::new(full).strip_prefix(mount).ok();
            below.is_some_and(|below| Path::new("/").join(below) == Path::new(path))
        };
        self.cgroup_path.trim_matches('/') == path.trim_matches('/')
            || self.cgroup_paths.values().any(below)
    }
}

/// What a bundle tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The pod's namespace.
    pub(crate) namespace: Option<String>,
    /// The pod's name.
    pub(crate) pod: Option<String>,
    /// The pod's uid.
    pub(crate) pod_uid: Option<String>,
    /// The container's name in the pod.
    pub(crate) container: Option<String>,
    /// The image, as the runtime found it: with its digest where the pod named one.
    pub(crate) image: Option<String>,
    /// The runtime, where the place of the bundle tells it.
    pub(crate) runtime: Option<String>,
}

/// Why a bundle that is there could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// The file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no OCI configuration.
    #[error("{path} is no OCI runtime configuration")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The part of an OCI configuration that is read; the rest is the runtimes' business.
#[derive(Deserialize)]
struct OciConfiguration {
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// The same file, read for its device rules: what is wrong with those keeps nobody from being named.
#[derive(Deserialize)]
struct OciDevices {
    linux: Option<OciLinux>,
}

#[derive(Deserialize)]
struct OciLinux {
    resources: Option<OciResources>,
}

#[derive(Deserialize)]
struct OciResources {
    devices: Option<Vec<DeviceRule>>,
}

/// The places where runtimes keep bundles, below a root directory.
#[derive(Clone, Debug)]
pub(crate) struct Bundles {
    root: PathBuf,
    /// Where the runtimes see cgroup v2.
    cgroups: PathBuf,
    /// What a runtime said before.
    announced: Announced,
}

impl Bundles {
    /// Bundles of this machine (`/`), or of a tree that looks like one.
    pub(crate) fn below(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            cgroups: PathBuf::from("/sys/fs/cgroup"),
            announced: Announced::default(),
        }
    }

    /// The same, and containers that a runtime tells of before it makes them.
    pub(crate) fn and(mut self, announced: Announced) -> Self {
        self.announced = announced;
        self
    }

    /// What a runtime has said beforehand.
    pub(crate) fn announced(&self) -> &Announced {
        &self.announced
    }

    /// What is known of the container called `id`. `None`: no runtime has a bundle of that name
    /// (yet).
    pub(crate) fn find(&self, id: &str) -> Result<Option<Bundle>, BundleError> {
        if !is_component(id) {
            return Ok(None);
        }
        if let Some(announced) = self.announced.get(id) {
            return Ok(Some(announced.bundle.clone()));
        }
        for (path, runtime) in self.candidates(id) {
            if let Some(bundle) = read(&path, runtime)? {
                return Ok(Some(bundle));
            }
        }
        Ok(RUNTIME_STATE.iter().find_map(|(directory, file, runtime)| {
            let state = self.root.join(directory).join(id).join(file);
            state.exists().then(|| Bundle {
                container: Some(id.to_owned()),
                runtime: Some((*runtime).to_owned()),
                ..Bundle::default()
            })
        }))
    }

    /// The container of a low-level runtime whose cgroup is at `path`, and its id: such a cgroup
    /// may be called anything.
    pub(crate) fn find_by_cgroup(&self, path: &str) -> Option<(String, Bundle)> {
        if let Some(announced) = self.announced.at(path) {
            return Some(announced);
        }
        RUNTIME_STATE.iter().find_map(|(directory, file, runtime)| {
            let containers = std::fs::read_dir(self.root.join(directory)).ok()?;
            containers.flatten().take(MAX_STATES).find_map(|container| {
                let text = std::fs::read(container.path().join(file)).ok()?;
                let state: RuntimeState = serde_json::from_slice(&text).ok()?;
                let id = container.file_name().into_string().ok()?;
                state.is_at(path, &self.cgroups).then(|| {
                    let runtime = Some((*runtime).to_owned());
                    let bundle =
                        Bundle { container: Some(id.clone()), runtime, ..Bundle::default() };
                    (id, bundle)
                })
            })
        })
    }

    /// The device rules of the container called `id`. `None`: no runtime has its configuration.
    pub(super) fn devices(&self, id: &str) -> Result<Option<Vec<DeviceRule>>, BundleError> {
        if !is_component(id) {
            return Ok(None);
        }
        for (path, _) in self.candidates(id) {
            if let Some(configuration) = parse::<OciDevices>(&path)? {
                let resources = configuration.linux.and_then(|linux| linux.resources);
                return Ok(resources.and_then(|resources| resources.devices));
            }
        }
        Ok(None)
    }

    fn candidates(&self, id: &str) -> Vec<(PathBuf, Option<&'static str>)> {
        let mut paths = Vec::new();
        let tasks = self.root.join(CONTAINERD_TASKS);
        // One directory a containerd namespace: k8s.io, moby, default, ...
        if let Ok(namespaces) = std::fs::read_dir(&tasks) {
            for namespace in namespaces.flatten() {
                paths.push((namespace.path().join(id).join("config.json"), Some("containerd")));
            }
        }
        for storage in STORAGE {
            let path = self.root.join(storage).join(id).join("userdata/config.json");
            paths.push((path, None));
        }
        paths
    }
}

pub(super) fn is_component(id: &str) -> bool {
    !id.is_empty() && id.len() <= 255 && !id.contains(['/', '\0']) && id != "." && id != ".."
}

fn read(path: &Path, runtime: Option<&str>) -> Result<Option<Bundle>, BundleError> {
    let configuration = parse::<OciConfiguration>(path)?;
    Ok(configuration.map(|it| from_annotations(&it.annotations, runtime)))
}

/// `None`: there is no such file.
fn parse<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, BundleError> {
    let failed = |source| BundleError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_CONFIG).read_to_end(&mut text).map_err(failed)?;
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|source| BundleError::Parse { path: path.to_owned(), source })
}

fn from_annotations(
    annotations: &std::collections::BTreeMap<String, String>,
    runtime: Option<&str>,
) -> Bundle {
    // containerd's CRI plugin (annotations.go), then CRI-O and the kubelet's labels (labels.go).
    let first = |keys: [&str; 2]| keys.iter().find_map(|key| annotations.get(*key)).cloned();
    Bundle {
        namespace: first(["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]),
        pod: first(["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]),
        pod_uid: first(["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]),
        container: first(["io.kubernetes.cri.container-name", "io.kubernetes.container.name"]),
        image: first(["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"]),
        runtime: runtime.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn containerd_s_annotations_name_the_pod() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            "run/containerd/io.containerd.runtime.v2.task/k8s.io/abc/config.json",
            r#"{"ociVersion":"1.1.0","annotations":{"io.kubernetes.cri.sandbox-namespace":"team-a",
               "io.kubernetes.cri.sandbox-name":"web","io.kubernetes.cri.container-name":"main",
               "io.kubernetes.cri.image-name":"registry.test/web@sha256:0a"}}"#,
        );
        let bundle = Bundles::below(root.path()).find("abc").unwrap().unwrap();
        assert_eq!(bundle.namespace.as_deref(), Some("team-a"));
        assert_eq!(bundle.pod.as_deref(), Some("web"));
        assert_eq!(bundle.container.as_deref(), Some("main"));
        assert_eq!(bundle.image.as_deref(), Some("registry.test/web@sha256:0a"));
        assert_eq!(bundle.runtime.as_deref(), Some("containerd"));
    }

    #[test]
    fn cri_o_s_annotations_name_the_pod() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            "var/lib/containers/storage/overlay-containers/abc/userdata/config.json",
            r#"{"annotations":{"io.kubernetes.pod.namespace":"team-b","io.kubernetes.pod.name":"db",
               "io.kubernetes.container.name":"main"}}"#,
        );
        let bundle = Bundles::below(root.path()).find("abc").unwrap().unwrap();
        assert_eq!(bundle.namespace.as_deref(), Some("team-b"));
    }

    #[test]
    fn device_rules_are_read_and_broken_ones_keep_nobody_from_being_named() {
        let root = tempfile::tempdir().unwrap();
        let path = "run/containerd/io.containerd.runtime.v2.task/k8s.io/abc/config.json";
        let bundles = Bundles::below(root.path());
        assert_eq!(bundles.devices("abc").unwrap(), None);
        let rules = r#"{"linux":{"resources":{"devices":[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}]}}}"#;
        write(root.path(), path, rules);
        let found = bundles.devices("abc").unwrap().unwrap();
        assert_eq!((found.len(), found[0].allow, found[1].minor), (2, false, Some(229)));
        write(root.path(), path, r#"{"linux":{"resources":null}}"#);
        assert_eq!(bundles.devices("abc").unwrap(), None);
        write(root.path(), path, r#"{"linux":{"resources":{"devices":[{"major":"x"}]}}}"#);
        assert!(bundles.devices("abc").is_err() && bundles.find("abc").unwrap().is_some());
        assert_eq!(bundles.devices("../abc").unwrap(), None);
    }

    #[test]
    fn a_plain_runc_container_is_known_by_its_state() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "run/runc/demo/state.json", "{}");
        let bundle = Bundles::below(root.path()).find("demo").unwrap().unwrap();
        assert_eq!(bundle.runtime.as_deref(), Some("runc"));
        assert_eq!(bundle.namespace, None);
    }

    #[test]
    fn a_plain_container_is_found_by_its_cgroup() {
        let root = tempfile::tempdir().unwrap();
        let runc = r#"{"cgroup_paths":{"":"/sys/fs/cgroup/own/name"}}"#;
        write(root.path(), "run/runc/demo/state.json", runc);
        write(root.path(), "run/crun/other/status", r#"{"cgroup-path":"/own/second"}"#);
        let bundles = Bundles::below(root.path());
        let find = |path| bundles.find_by_cgroup(path);
        let (id, bundle) = find("/own/name").unwrap();
        assert_eq!((id.as_str(), bundle.runtime.as_deref()), ("demo", Some("runc")));
        assert_eq!(find("/own/second").unwrap().0, "other");
        assert_eq!(find("/own"), None);
        assert_eq!(find("/own/name/below"), None);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "run/secret/state.json", "{}");
        for id in ["../secret", "..", ".", "", "a/b"] {
            assert_eq!(Bundles::below(root.path()).find(id).unwrap(), None, "{id}");
        }
    }

    #[test]
    fn a_broken_bundle_is_an_error_that_names_the_file() {
        let root = tempfile::tempdir().unwrap();
        let path = "run/containerd/io.containerd.runtime.v2.task/k8s.io/abc/config.json";
        write(root.path(), path, "{");
        let error = Bundles::below(root.path()).find("abc").unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
    }
}
