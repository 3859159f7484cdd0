//! Whose container a configuration is, from the annotations that the container runtime wrote.
//!
//! CRI-O copies a pod's annotations into the configuration, and a tenant writes those: a key of the
//! other runtime may be forged. So every key that names a namespace must name the same one, and a
//! container is a sandbox only where no key says otherwise.

use crate::json::{JsonError, Object};

/// Keys of containerd's CRI plugin, of CRI-O and the kubelet.
const NAMESPACE: [&str; 3] = [
    "io.kubernetes.cri.sandbox-namespace",
    "io.kubernetes.pod.namespace",
    "io.kubernetes.cri-o.Namespace",
];
const KIND: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];
const SANDBOX: &str = "sandbox";

/// Whose a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The pod's namespace; none outside Kubernetes.
    pub namespace: Option<String>,
    /// Whether it is the pod's sandbox, which runs no code of the tenant's.
    pub sandbox: bool,
    /// Its cgroup from the cgroup v2 root, where the configuration says it.
    pub cgroup: String,
}

/// Why the owner cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Two namespaces are named.
    #[error("its annotations name two namespaces, `{0}` and `{1}`")]
    Contradiction(String, String),
}

impl Owner {
    /// Reads it from a container's configuration.
    ///
    /// # Errors
    /// When the configuration cannot be read or contradicts itself.
    pub fn of(configuration: &Object<'_>) -> Result<Self, OwnerError> {
        let annotations = configuration.object("annotations")?;
        let annotations = annotations.unwrap_or_else(|| Object::empty("annotations"));
        let all = |keys: &[&str]| -> Result<Vec<String>, JsonError> {
            keys.iter().filter_map(|key| annotations.entry(key).transpose()).collect()
        };
        let namespaces = all(&NAMESPACE)?;
        let namespace = namespaces.first().cloned();
        if let (Some(one), Some(other)) =
            (&namespace, namespaces.iter().find(|other| Some(*other) != namespace.as_ref()))
        {
            return Err(OwnerError::Contradiction(one.clone(), other.clone()));
        }
        let kinds = all(&KIND)?;
        let sandbox = !kinds.is_empty() && kinds.iter().all(|kind| kind == SANDBOX);
        let linux = configuration.object("linux")?;
        let cgroup = match linux {
            Some(linux) => linux.read::<String>("cgroupsPath")?.unwrap_or_default(),
            None => String::new(),
        };
        Ok(Self { namespace, sandbox, cgroup: path_of(&cgroup) })
    }
}

/// systemd's `slice:prefix:name` as a path below the cgroup root; others stay as they are.
fn path_of(cgroup: &str) -> String {
    let mut parts = cgroup.split(':');
    let (Some(slice), Some(prefix), Some(name), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return cgroup.to_owned();
    };
    let scope = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}.scope") };
    // `a-b.slice` lies in `a.slice`.
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    let mut path = String::new();
    for (at, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
        if let Some(part) = stem.get(..at).filter(|part| !part.is_empty()) {
            path.push_str(&format!("/{part}.slice"));
        }
    }
    format!("{path}/{scope}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(annotations: &str) -> Result<Owner, OwnerError> {
        let text = format!("{{\"annotations\":{{{annotations}}}}}");
        Owner::of(&Object::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn both_runtimes_name_the_namespace() {
        let containerd = of(r#""io.kubernetes.cri.sandbox-namespace":"a",
            "io.kubernetes.cri.container-type":"container""#);
        assert_eq!(containerd.unwrap(), Owner { namespace: Some("a".into()), ..Owner::default() });
        let cri_o = of(r#""io.kubernetes.pod.namespace":"b",
            "io.kubernetes.cri-o.ContainerType":"sandbox""#);
        assert_eq!(
            cri_o.unwrap(),
            Owner { namespace: Some("b".into()), sandbox: true, ..Owner::default() }
        );
        assert_eq!(of("").unwrap(), Owner::default());
    }

    #[test]
    fn a_tenant_s_annotation_does_not_make_it_another() {
        let forged = of(r#""io.kubernetes.pod.namespace":"tenant",
            "io.kubernetes.cri.sandbox-namespace":"kube-system""#);
        assert!(matches!(forged, Err(OwnerError::Contradiction(..))));
        let forged = of(r#""io.kubernetes.cri-o.ContainerType":"container",
            "io.kubernetes.cri.container-type":"sandbox""#);
        assert!(!forged.unwrap().sandbox);
    }

    #[test]
    fn systemd_s_name_for_a_cgroup_is_a_path() {
        assert_eq!(path_of("/kubepods/x"), "/kubepods/x");
        assert_eq!(
            path_of("kubepods-besteffort-pod1.slice:cri-containerd:abc"),
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/\
             cri-containerd-abc.scope"
        );
    }
}
