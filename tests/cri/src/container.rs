//! A container's configuration, as a kubelet would send it.

use crate::arguments::RunArguments;
use crate::cri::security_profile::ProfileType;
use crate::cri::{
    Capability, ContainerConfig, ContainerMetadata, Device, ImageSpec, Int64Value, KeyValue,
    LinuxContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext, Mount,
    PodSandboxConfig, SecurityProfile,
};
use crate::pod;

/// What the kubelet hides from a container that is not privileged.
const MASKED_PATHS: [&str; 9] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];

/// What the kubelet lets such a container only read.
const READ_ONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The kubelet's score for a container of the class besteffort.
const OOM_SCORE: i64 = 1000;

/// The configuration of the container that these arguments ask for.
pub(crate) fn config(
    run: &RunArguments,
    sandbox: &PodSandboxConfig,
    pid_target: &str,
) -> ContainerConfig {
    let mut labels = sandbox.labels.clone();
    labels.insert("io.kubernetes.container.name".into(), run.container.clone());
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: run.container.clone(), attempt: 0 }),
        image: Some(ImageSpec { image: run.image.clone() }),
        command: run.command.clone(),
        envs: run
            .env
            .iter()
            .map(|pair| KeyValue { key: pair.key.clone(), value: pair.value.clone() })
            .collect(),
        mounts: run
            .mount
            .iter()
            .map(|mount| Mount {
                container_path: mount.container.clone(),
                host_path: mount.host.clone(),
                readonly: mount.read_only,
            })
            .collect(),
        devices: run
            .device
            .iter()
            .map(|path| Device {
                container_path: path.clone(),
                host_path: path.clone(),
                permissions: "rw".into(),
            })
            .collect(),
        labels,
        annotations: pod::map(&run.annotation),
        log_path: format!("{}/0.log", run.container),
        linux: Some(LinuxContainerConfig {
            resources: Some(LinuxContainerResources {
                memory_limit_in_bytes: run.memory_limit.unwrap_or_default(),
                oom_score_adj: OOM_SCORE,
                ..Default::default()
            }),
            security_context: Some(security(run, pid_target)),
        }),
        ..Default::default()
    }
}

fn security(run: &RunArguments, pid_target: &str) -> LinuxContainerSecurityContext {
    let unless_privileged = |paths: &[&str]| {
        if run.privileged { Vec::new() } else { paths.iter().map(|&path| path.into()).collect() }
    };
    LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: run.cap_add.clone(),
            drop_capabilities: run.cap_drop.clone(),
        }),
        privileged: run.privileged,
        namespace_options: Some(pod::namespaces(run, pid_target)),
        run_as_user: run.user.map(|value| Int64Value { value }),
        readonly_rootfs: run.read_only,
        no_new_privs: run.no_new_privs,
        masked_paths: unless_privileged(&MASKED_PATHS),
        readonly_paths: unless_privileged(&READ_ONLY_PATHS),
        seccomp: Some(profile(&run.seccomp)),
        apparmor: Some(profile(&run.apparmor)),
    }
}

fn profile(text: &str) -> SecurityProfile {
    let (kind, name) = match text {
        "default" => (ProfileType::RuntimeDefault, ""),
        "unconfined" => (ProfileType::Unconfined, ""),
        name => (ProfileType::Localhost, name),
    };
    SecurityProfile { profile_type: kind.into(), localhost_ref: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Verb};

    fn config_of(words: &[&str]) -> LinuxContainerSecurityContext {
        let all = [&["x", "run", "--pod", "web"], words, &["--", "true"]].concat();
        let Verb::Run(run) = Arguments::parse_from(all).verb else { panic!("no run") };
        let sandbox = pod::config(&run, pod::CgroupDriver::Cgroupfs).unwrap();
        config(&run, &sandbox, "").linux.unwrap().security_context.unwrap()
    }

    #[test]
    fn only_a_privileged_container_sees_what_the_kubelet_masks() {
        assert!(config_of(&[]).masked_paths.contains(&"/proc/kcore".to_owned()));
        assert!(config_of(&[]).readonly_paths.contains(&"/proc/sys".to_owned()));
        let privileged = config_of(&["--privileged"]);
        assert!(privileged.masked_paths.is_empty() && privileged.readonly_paths.is_empty());
    }

    #[test]
    fn a_profile_is_one_of_two_words_or_a_name() {
        assert_eq!(config_of(&[]).apparmor.unwrap().profile_type(), ProfileType::RuntimeDefault);
        assert_eq!(config_of(&[]).seccomp.unwrap().profile_type(), ProfileType::Unconfined);
        let named = config_of(&["--apparmor", "bulkhead-x"]).apparmor.unwrap();
        assert_eq!(named.profile_type(), ProfileType::Localhost);
        assert_eq!(named.localhost_ref, "bulkhead-x");
    }
}
