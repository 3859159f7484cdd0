//! Where a runtime will put a container, from what it says of it beforehand.

/// The cgroup's path from the cgroup v2 root for the `cgroupsPath` of an OCI configuration: a path
/// under the cgroupfs driver, `slice:prefix:name` under systemd's. `None` where it is neither.
pub fn cgroup_of(cgroups_path: &str) -> Option<String> {
    let plain =
        |part: &str| !part.is_empty() && !part.contains(['/', '\0']) && !matches!(part, "." | "..");
    if cgroups_path.starts_with('/') {
        let path = cgroups_path.trim_end_matches('/');
        let parts = path.split('/').skip(1);
        return (!path.is_empty() && parts.into_iter().all(plain)).then(|| path.to_owned());
    }
    let mut parts = cgroups_path.split(':');
    let (slice, prefix, name) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !plain(name) || (!prefix.is_empty() && !plain(prefix)) {
        return None;
    }
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let unit = if name.ends_with(".slice") {
        name.to_owned()
    } else if prefix.is_empty() {
        format!("{name}.scope")
    } else {
        format!("{prefix}-{name}.scope")
    };
    Some(format!("{}/{unit}", directory_of(slice)?))
}

/// systemd's directory of a slice: `a-b.slice` lies in `a.slice`.
fn directory_of(slice: &str) -> Option<String> {
    let stem = slice.strip_suffix(".slice").filter(|stem| !stem.contains(['/', '\0']))?;
    if stem == "-" {
        return Some(String::new());
    }
    if stem.split('-').any(str::is_empty) {
        return None;
    }
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    Some(ends.filter_map(|end| stem.get(..end)).map(|up_to| format!("/{up_to}.slice")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_drivers_paths_are_known_beforehand() {
        for (said, path) in [
            ("/kubepods/burstable/podab/c1", "/kubepods/burstable/podab/c1"),
            (
                "kubepods-burstable-podab_cd.slice:cri-containerd:c1",
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab_cd.slice/\
                 cri-containerd-c1.scope",
            ),
            (":runc:c1", "/system.slice/runc-c1.scope"),
            ("-.slice:crio:c1", "/crio-c1.scope"),
            ("a.slice::c1", "/a.slice/c1.scope"),
        ] {
            assert_eq!(cgroup_of(said).as_deref(), Some(path), "{said}");
        }
        for said in [
            "",
            "c1",
            "/",
            "/a/../b",
            "/a//b",
            "a:b",
            "a.slice:b:c:d",
            "a.slice:b:",
            "a:b:c",
            "a/b.slice:c:d",
            "a--b.slice:c:d",
            "a.slice:b:../c",
        ] {
            assert_eq!(cgroup_of(said), None, "{said:?}");
        }
    }
}
