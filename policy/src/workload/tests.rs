use proptest::prelude::*;

use super::*;

const ID: &str = "1f2a9c0d4be35a6f7081928374655647382910abcdef0123456789abcdef0123";

/// (path, container's own part, pod's part, runtime, uid); `ID` stands for the container's id.
const CONTAINERS: &[(&str, &str, &str, Runtime, &str)] = &[
    // Kubernetes, systemd driver.
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f3a_1c.slice/cri-containerd-ID.scope",
        "",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f3a_1c.slice",
        Runtime::Containerd,
        "0f3a-1c",
    ),
    (
        "/kubepods.slice/kubepods-pod7d2e4a10_9f5b_4c11_8a77_3b1e0c9d2f44.slice/cri-containerd-ID.scope",
        "",
        "/kubepods.slice/kubepods-pod7d2e4a10_9f5b_4c11_8a77_3b1e0c9d2f44.slice",
        Runtime::Containerd,
        "7d2e4a10-9f5b-4c11-8a77-3b1e0c9d2f44",
    ),
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab.slice/crio-ID.scope/container",
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab.slice/crio-ID.scope",
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab.slice",
        Runtime::CriO,
        "ab",
    ),
    (
        "/kubepods.slice/kubepods-podab.slice/docker-ID.scope",
        "",
        "/kubepods.slice/kubepods-podab.slice",
        Runtime::Docker,
        "ab",
    ),
    // A static pod: its uid is a hash without dashes.
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0123456789abcdef0123456789abcdef.slice/cri-containerd-ID.scope",
        "",
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0123456789abcdef0123456789abcdef.slice",
        Runtime::Containerd,
        "0123456789abcdef0123456789abcdef",
    ),
    // Kubernetes, cgroupfs driver.
    (
        "/kubepods/besteffort/podab-cd/ID",
        "",
        "/kubepods/besteffort/podab-cd",
        Runtime::Unknown,
        "ab-cd",
    ),
    ("/kubepods/podab-cd/ID", "", "/kubepods/podab-cd", Runtime::Unknown, "ab-cd"),
    (
        "/kubepods/burstable/podab-cd/crio-ID/container",
        "/kubepods/burstable/podab-cd/crio-ID",
        "/kubepods/burstable/podab-cd",
        Runtime::CriO,
        "ab-cd",
    ),
    // The kubelet's root below another cgroup.
    (
        "/system.slice/kubelet.service/kubepods/burstable/podab-cd/ID",
        "",
        "/system.slice/kubelet.service/kubepods/burstable/podab-cd",
        Runtime::Unknown,
        "ab-cd",
    ),
    (
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podab_cd.slice/cri-containerd-ID.scope",
        "",
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podab_cd.slice",
        Runtime::Containerd,
        "ab-cd",
    ),
    // Docker.
    ("/system.slice/docker-ID.scope", "", "", Runtime::Docker, ""),
    ("/docker/ID", "", "", Runtime::Docker, ""),
    (
        "/system.slice/docker-ID.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podab.slice/cri-containerd-x.scope",
        "/system.slice/docker-ID.scope",
        "",
        Runtime::Docker,
        "",
    ),
    // Podman.
    (
        "/machine.slice/libpod-ID.scope/container",
        "/machine.slice/libpod-ID.scope",
        "",
        Runtime::Podman,
        "",
    ),
    ("/libpod_parent/libpod-ID", "", "", Runtime::Podman, ""),
    ("/libpod_parent/0a1b/libpod-ID", "", "/libpod_parent/0a1b", Runtime::Podman, ""),
    (
        "/machine.slice/machine-libpod_pod_0a1b.slice/libpod-ID.scope/container",
        "/machine.slice/machine-libpod_pod_0a1b.slice/libpod-ID.scope",
        "/machine.slice/machine-libpod_pod_0a1b.slice",
        Runtime::Podman,
        "",
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
        "",
        Runtime::Podman,
        "",
    ),
    // Others.
    ("/system.slice/nerdctl-ID.scope", "", "", Runtime::Nerdctl, ""),
    ("/system.slice/runc-ID.scope", "", "", Runtime::Runc, ""),
    ("/user.slice/crun-ID.scope/a/b", "/user.slice/crun-ID.scope", "", Runtime::Crun, ""),
];

#[test]
fn every_runtime_s_container_is_found_with_its_pod_and_id() {
    for &(path, container, pod, runtime, uid) in CONTAINERS {
        let path = path.replace("ID", ID);
        let container = container.replace("ID", ID);
        let located = locate(&path).unwrap_or_else(|| panic!("{path}"));
        let expected = if container.is_empty() { &path } else { &container };
        assert_eq!(located.container_path, expected);
        assert_eq!(located.pod_path.unwrap_or_default(), pod, "{path}");
        assert_eq!(located.runtime, runtime, "{path}");
        assert_eq!(located.pod_uid.as_deref().unwrap_or_default(), uid, "{path}");
        assert_eq!(located.container_id, Some(ID), "{path}");
    }
}

#[test]
fn the_runtime_s_monitors_are_no_workloads() {
    for path in [
        "/kubepods.slice/kubepods-podab.slice/crio-conmon-1234.scope",
        "/machine.slice/libpod-conmon-1234.scope",
        "/kubepods/podab/crio-conmon-1234",
        "/libpod_parent/conmon",
        "/libpod_parent/libpod-conmon-1234/x",
        "/system.slice/crio-conmon-1234.scope",
    ] {
        assert_eq!(classify(path), CgroupKind::Monitor, "{path}");
        assert!(!is_slice(path) && locate(path).is_none());
    }
}

#[test]
fn directories_of_workloads_are_slices() {
    for path in [
        "/kubepods.slice",
        "/kubepods",
        "/kubepods/burstable",
        "/kubepods.slice/kubepods-besteffort.slice",
        "/kubelet.slice/kubelet-kubepods.slice",
        "/docker",
        "/libpod_parent",
    ] {
        assert_eq!(classify(path), CgroupKind::Slice, "{path}");
        assert!(is_slice(path));
    }
    let pod = "/kubepods.slice/kubepods-pod7d2e_9f5b.slice";
    assert_eq!(classify(pod), CgroupKind::Pod { uid: Some("7d2e-9f5b".to_owned()) });
    assert!(is_slice(pod) && is_slice("/machine.slice/machine-libpod_pod_0a.slice"));
}

#[test]
fn the_node_s_own_cgroups_are_nothing_of_ours() {
    for path in [
        "/",
        "",
        "/init.scope",
        "/system.slice",
        "/system.slice/docker.service",
        "/system.slice/docker-registry.service",
        "/system.slice/crio.service",
        "/system.slice/containerd.service",
        "/system.slice/runc-helper.service",
        "/kubelet.slice",
        "/user.slice/user-1000.slice/session-1.scope",
        "/machine.slice",
        "/a/docker/0123",
        "relative/docker-0123.scope",
        "/../docker-0123.scope",
        "/system.slice/../docker-0123.scope",
        "/system.slice//docker-0123.scope",
    ] {
        assert_eq!(classify(path), CgroupKind::Other, "{path}");
    }
}

#[test]
fn what_a_container_makes_below_itself_stays_the_container_s() {
    let own = format!("/kubepods/podab/{ID}");
    for below in ["crio-conmon-1.scope", "docker-x.scope", "kubepods.slice/kubepods-podz.slice"] {
        let path = format!("{own}/{below}");
        let located = locate(&path).unwrap();
        assert_eq!(located.container_path, own);
        assert_eq!(located.pod_uid.as_deref(), Some("ab"));
    }
}

#[test]
fn hostile_names_are_containers_without_an_id() {
    let long = "x".repeat(4096);
    let long_scope = format!("/system.slice/docker-{long}.scope");
    assert_eq!(locate(&long_scope).unwrap().container_id, Some(long.as_str()));
    for path in [
        "/system.slice/docker-...scope",
        "/system.slice/docker-.scope",
        "/system.slice/docker-a\nb.scope",
        "/system.slice/docker-a b.scope",
        "/system.slice/docker-\u{1b}[2J.scope",
        "/system.slice/docker-ü.scope",
        "/kubepods/podab/\u{0}",
    ] {
        let located = locate(path).unwrap_or_else(|| panic!("{path:?}"));
        assert_eq!((located.container_path, located.container_id), (path, None));
    }
    // Not a name at all: a way out of the tree.
    assert_eq!(classify("/system.slice/docker-../x.scope"), CgroupKind::Other);
    assert_eq!(classify("/kubepods/podab/.."), CgroupKind::Other);
}

#[test]
fn scope_names_fit_the_kernel_s_key_and_the_longest_tells_a_monitor() {
    for (name, _) in SCOPE_NAMES {
        assert!(!name.is_empty() && name.len() <= 31, "{name}");
    }
    let kind = |name: &str| {
        let fitting = SCOPE_NAMES.iter().filter(|(start, _)| name.starts_with(start));
        fitting.max_by_key(|(start, _)| start.len()).map(|(_, kind)| *kind)
    };
    assert_eq!(kind("crio-conmon-12.scope"), Some(ScopeKind::Monitor));
    assert_eq!(kind("crio-12.scope"), Some(ScopeKind::Container));
    assert_eq!(kind("libpod-conmon-12.scope"), Some(ScopeKind::Monitor));
    assert_eq!(kind("kubepods-burstable.slice"), Some(ScopeKind::Slice));
    assert_eq!(kind("init.scope"), None);
}

#[test]
fn every_container_scope_is_known_to_the_kernel_side_too() {
    for &(path, ..) in CONTAINERS {
        for component in path.split('/').filter(|component| component.ends_with("ID.scope")) {
            let known = SCOPE_NAMES.iter().any(|(start, _)| component.starts_with(start));
            assert!(known, "{component}");
        }
    }
}

fn hostile_path() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        "\\PC{0,12}",
        "(docker|crio|libpod|runc|cri-containerd|crio-conmon)-[a-f0-9.\n]{0,8}(\\.scope)?",
        "(kubepods|kubelet-kubepods|kubepods-burstable)(-pod[a-f0-9_]{0,6})?(\\.slice)?",
        "pod[a-f0-9-]{0,6}",
        Just("docker".to_owned()),
        Just("libpod_parent".to_owned()),
        Just("..".to_owned()),
    ];
    let absolute = proptest::collection::vec(component, 0..8)
        .prop_map(|components| format!("/{}", components.join("/")));
    prop_oneof![9 => absolute, 1 => ".{0,40}"]
}

proptest! {
    #[test]
    fn a_container_s_path_is_a_beginning_by_whole_components(path in hostile_path()) {
        if let Some(located) = locate(&path) {
            let whole = |part: &str| {
                path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            prop_assert!(whole(located.container_path));
            if let Some(pod) = located.pod_path {
                prop_assert!(whole(pod) && pod.len() < located.container_path.len());
            }
            // The container's own path is found as the same container.
            let own = locate(located.container_path).map(|own| own.container_path);
            prop_assert_eq!(own, Some(located.container_path));
        }
    }

    #[test]
    fn whatever_lies_below_a_container_is_that_container(path in hostile_path(), below in "[a-z.-]{1,9}") {
        if let Some(located) = locate(&path) {
            prop_assume!(below != "." && below != "..");
            let deeper = format!("{path}/{below}");
            prop_assert_eq!(locate(&deeper).map(|found| found.container_path), Some(located.container_path));
        }
    }
}
