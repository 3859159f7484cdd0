//! A pod's sandbox, configured the way a kubelet would.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use prost::Message;

use crate::arguments::{Pair, RunArguments};
use crate::cri::{
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata,
};

/// Where a sandbox's configuration is kept: every later container of the pod needs it again.
const KEPT: &str = "/run/bulkhead-cri";

/// Who makes the cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CgroupDriver {
    Cgroupfs,
    Systemd,
}

impl CgroupDriver {
    /// The driver that a kubelet on this node would be told to use.
    pub(crate) fn of_this_node() -> Self {
        if Path::new("/run/systemd/system").exists() { Self::Systemd } else { Self::Cgroupfs }
    }

    /// The parent cgroup of a pod's containers.
    fn parent(self, class: &str, uid: &str) -> String {
        match self {
            Self::Cgroupfs => format!("/kubepods/{class}/pod{uid}"),
            // In a unit's name a dash means a level.
            Self::Systemd => format!("kubepods-{class}-pod{}.slice", uid.replace('-', "_")),
        }
    }
}

/// The configuration of the pod that these arguments ask for.
pub(crate) fn config(run: &RunArguments, driver: CgroupDriver) -> Result<PodSandboxConfig> {
    let name = run.pod.clone().context("a pod needs a name")?;
    let uid = match &run.uid {
        Some(uid) => uid.clone(),
        None => made_up_uid()?,
    };
    let mut labels = map(&run.label);
    labels.insert("io.kubernetes.pod.name".into(), name.clone());
    labels.insert("io.kubernetes.pod.namespace".into(), run.namespace.clone());
    labels.insert("io.kubernetes.pod.uid".into(), uid.clone());
    let class = if run.memory_limit.is_some() { "burstable" } else { "besteffort" };
    let parent = run.cgroup_parent.clone().unwrap_or_else(|| driver.parent(class, &uid));
    Ok(PodSandboxConfig {
        // Only a pod with a network of its own has a host name of its own.
        hostname: if run.host_network { String::new() } else { name.clone() },
        log_directory: format!("/var/log/pods/{}_{name}_{uid}", run.namespace),
        labels,
        annotations: map(&run.annotation),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: parent,
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces(run, "")),
                privileged: run.privileged,
            }),
        }),
        metadata: Some(PodSandboxMetadata {
            name,
            uid,
            namespace: run.namespace.clone(),
            attempt: 0,
        }),
    })
}

/// The namespaces of a pod or container; `target` is the container whose PIDs are to be seen.
pub(crate) fn namespaces(run: &RunArguments, target: &str) -> NamespaceOption {
    let node_or_pod = |node: bool| if node { NamespaceMode::Node } else { NamespaceMode::Pod };
    let pid = if run.host_pid {
        NamespaceMode::Node
    } else if !target.is_empty() {
        NamespaceMode::Target
    } else if run.share_pid {
        NamespaceMode::Pod
    } else {
        NamespaceMode::Container
    };
    NamespaceOption {
        network: node_or_pod(run.host_network).into(),
        pid: pid.into(),
        ipc: node_or_pod(run.host_ipc).into(),
        target_id: target.to_owned(),
    }
}

/// Labels and annotations as the interface wants them.
pub(crate) fn map(pairs: &[Pair]) -> HashMap<String, String> {
    pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
}

fn made_up_uid() -> Result<String> {
    let mut text = String::new();
    fs::File::open("/proc/sys/kernel/random/uuid")
        .and_then(|mut file| file.read_to_string(&mut text))
        .context("the kernel gives no random UUID")?;
    Ok(text.trim().to_owned())
}

fn kept(sandbox: &str) -> PathBuf {
    Path::new(KEPT).join(sandbox)
}

/// Keeps a sandbox's configuration for its later containers.
pub(crate) fn keep(sandbox: &str, config: &PodSandboxConfig) -> Result<()> {
    fs::create_dir_all(KEPT).with_context(|| format!("cannot make {KEPT}"))?;
    fs::write(kept(sandbox), config.encode_to_vec())
        .with_context(|| format!("cannot keep the configuration of pod {sandbox}"))
}

/// The configuration of a sandbox that this program made.
pub(crate) fn recall(sandbox: &str) -> Result<PodSandboxConfig> {
    let bytes = fs::read(kept(sandbox))
        .with_context(|| format!("pod {sandbox} was not made by this program"))?;
    PodSandboxConfig::decode(bytes.as_slice())
        .with_context(|| format!("the kept configuration of pod {sandbox} is broken"))
}

/// Forgets a removed sandbox and removes its cgroup, which no runtime does: it is the kubelet's.
pub(crate) fn forget(sandbox: &str) -> Result<()> {
    let config = recall(sandbox)?;
    fs::remove_file(kept(sandbox)).with_context(|| format!("cannot forget pod {sandbox}"))?;
    let parent = config.linux.unwrap_or_default().cgroup_parent;
    if parent.starts_with('/') {
        let directory = format!("/sys/fs/cgroup{parent}");
        if Path::new(&directory).exists() {
            fs::remove_dir(&directory).with_context(|| format!("cannot remove {directory}"))?;
        }
    } else {
        let stopped = Command::new("systemctl").args(["stop", &parent]).status();
        let stopped = stopped.context("cannot start systemctl")?;
        ensure!(stopped.success(), "systemctl cannot stop {parent}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Verb};

    fn run(words: &[&str]) -> RunArguments {
        let all = [&["x", "run", "--pod", "web", "--namespace", "blue"], words, &["--", "true"]];
        match Arguments::parse_from(all.concat()).verb {
            Verb::Run(run) => *run,
            other => panic!("{other:?} is no run"),
        }
    }

    fn parent(words: &[&str], driver: CgroupDriver) -> String {
        config(&run(words), driver).unwrap().linux.unwrap().cgroup_parent
    }

    #[test]
    fn cgroups_are_named_as_the_kubelet_names_them() {
        let uid = ["--uid", "1-2"];
        assert_eq!(parent(&uid, CgroupDriver::Cgroupfs), "/kubepods/besteffort/pod1-2");
        assert_eq!(parent(&uid, CgroupDriver::Systemd), "kubepods-besteffort-pod1_2.slice");
        let limited = ["--uid", "1-2", "--memory-limit", "1"];
        assert_eq!(parent(&limited, CgroupDriver::Cgroupfs), "/kubepods/burstable/pod1-2");
        assert_eq!(parent(&["--cgroup-parent", "/x"], CgroupDriver::Systemd), "/x");
    }

    #[test]
    fn a_pod_carries_the_labels_that_name_its_tenant() {
        let labels = config(&run(&["--label", "tenant=a"]), CgroupDriver::Cgroupfs).unwrap().labels;
        assert_eq!(labels["io.kubernetes.pod.namespace"], "blue");
        assert_eq!(labels["io.kubernetes.pod.name"], "web");
        assert_eq!(labels["tenant"], "a");
    }

    #[test]
    fn a_tenants_label_cannot_displace_the_nodes_own() {
        let forged = ["--label", "io.kubernetes.pod.namespace=kube-system"];
        let labels = config(&run(&forged), CgroupDriver::Cgroupfs).unwrap().labels;
        assert_eq!(labels["io.kubernetes.pod.namespace"], "blue");
    }

    #[test]
    fn pids_are_the_containers_own_unless_shared() {
        let pid = |words: &[&str], target: &str| namespaces(&run(words), target).pid();
        assert_eq!(pid(&[], ""), NamespaceMode::Container);
        assert_eq!(pid(&["--share-pid"], ""), NamespaceMode::Pod);
        assert_eq!(pid(&["--host-pid"], ""), NamespaceMode::Node);
        assert_eq!(pid(&[], "abc"), NamespaceMode::Target);
    }

    #[test]
    fn two_pods_have_two_uids() {
        let uid = || config(&run(&[]), CgroupDriver::Cgroupfs).unwrap().metadata.unwrap().uid;
        assert_ne!(uid(), uid());
    }
}
