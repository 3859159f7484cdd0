//! Paths of cgroups, whose names workloads choose.

use bulkhead_policy::workload::{CgroupKind, classify, locate};

/// A container is a beginning of the path by whole components, is found again by its own path, and so is
/// whatever lies below it.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(path) = std::str::from_utf8(bytes) else { return false };
    let Some(located) = locate(path) else {
        return !matches!(classify(path), CgroupKind::Other);
    };
    let whole = |part: &str| {
        path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let container = located.container_path;
    assert!(whole(container), "{path:?}: {container:?}");
    if let Some(pod) = located.pod_path {
        assert!(whole(pod) && pod.len() < container.len(), "{path:?}: {pod:?}");
    }
    assert_eq!(locate(container).map(|own| own.container_path), Some(container));
    let deeper = format!("{path}/below");
    assert_eq!(locate(&deeper).map(|found| found.container_path), Some(container), "{deeper:?}");
    true
}
