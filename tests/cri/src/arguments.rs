//! What was typed.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};

/// A small CRI client: starts pods the way a kubelet would.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-cri")]
pub(crate) struct Arguments {
    /// The runtime's socket
    #[arg(long, global = true, default_value = "/run/containerd/containerd.sock")]
    pub(crate) socket: PathBuf,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start a pod with one container, or a container in a pod; prints their ids as JSON
    Run(Box<RunArguments>),
    /// Run a command in a container; exits as the command does
    Exec {
        /// Container id, or the beginning of one
        container: String,
        /// Seconds after which the runtime ends the command; 0 for never
        #[arg(long, default_value_t = 0)]
        timeout: i64,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<String>,
    },
    /// Print what a container has said so far
    Logs {
        /// Container id, or the beginning of one
        container: String,
    },
    /// Wait for a container's end; exits as the container did
    Wait {
        /// Container id, or the beginning of one
        container: String,
        /// Seconds to wait; 124 is the exit status when they are over
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// List the pods and containers, one JSON object a line
    Ps,
    /// Stop and remove pods with their containers, or containers
    Rm {
        /// Sandbox or container ids, or the beginnings of them
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// Every pod
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// List the images
    Images,
    /// Print the runtime's name and version
    Version {
        /// Ask again for so many seconds until the runtime is ready for pods
        #[arg(long, default_value_t = 0, value_name = "S")]
        wait: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Kubernetes namespace of the pod
    #[arg(long, default_value = "default", conflicts_with_all = ["in_pod", "pid_of"])]
    pub(crate) namespace: String,
    /// Name of the pod
    #[arg(long, required_unless_present_any = ["in_pod", "pid_of"], conflicts_with_all = ["in_pod", "pid_of"])]
    pub(crate) pod: Option<String>,
    /// Name of the container
    #[arg(long, default_value = "main")]
    pub(crate) container: String,
    /// UID of the pod (default: one made up)
    #[arg(long)]
    pub(crate) uid: Option<String>,
    /// Add the container to this pod instead of making one
    #[arg(long, value_name = "SANDBOX", conflicts_with = "pid_of")]
    pub(crate) in_pod: Option<String>,
    /// Add the container to the pod of this container, and to its PID namespace
    #[arg(long, value_name = "CONTAINER")]
    pub(crate) pid_of: Option<String>,
    /// Label of the pod
    #[arg(long, value_name = "K=V")]
    pub(crate) label: Vec<Pair>,
    /// Annotation of the pod and its container
    #[arg(long, value_name = "K=V")]
    pub(crate) annotation: Vec<Pair>,
    /// Environment variable
    #[arg(long, value_name = "K=V")]
    pub(crate) env: Vec<Pair>,
    /// Runtime handler: runc or crun
    #[arg(long, default_value = "runc")]
    pub(crate) runtime: String,
    /// Image
    #[arg(long, default_value = "localhost/bulkhead/busybox:1")]
    pub(crate) image: String,
    /// All capabilities, all devices, nothing masked
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Use the node's PID namespace
    #[arg(long, conflicts_with_all = ["share_pid", "pid_of"])]
    pub(crate) host_pid: bool,
    /// Use the node's network namespace
    #[arg(long)]
    pub(crate) host_network: bool,
    /// Use the node's IPC namespace
    #[arg(long)]
    pub(crate) host_ipc: bool,
    /// One PID namespace for all containers of the pod
    #[arg(long, conflicts_with = "pid_of")]
    pub(crate) share_pid: bool,
    /// Capability to add, without CAP_
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_add: Vec<String>,
    /// Capability to drop, without CAP_
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_drop: Vec<String>,
    /// Device of the node that it may read and write, there under the same path
    #[arg(long, value_name = "PATH")]
    pub(crate) device: Vec<String>,
    /// Directory or file of the node to mount
    #[arg(long, value_name = "HOST:CTR[:ro]")]
    pub(crate) mount: Vec<MountArgument>,
    /// User id (default: the image's, root)
    #[arg(long)]
    pub(crate) user: Option<i64>,
    /// Read-only root file system
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Set no_new_privs
    #[arg(long)]
    pub(crate) no_new_privs: bool,
    /// Seccomp: default, unconfined, or a profile's path
    #[arg(long, value_name = "PROFILE", default_value = "unconfined")]
    pub(crate) seccomp: String,
    /// AppArmor: default, unconfined, or a profile's name
    #[arg(long, value_name = "PROFILE", default_value = "default")]
    pub(crate) apparmor: String,
    /// memory.max
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_limit: Option<i64>,
    /// Parent cgroup of the pod (default: as the kubelet would name it)
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup_parent: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').context("expected KEY=VALUE")?;
        ensure!(!key.is_empty(), "expected KEY=VALUE");
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// `HOST:CTR[:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountArgument {
    pub(crate) host: String,
    pub(crate) container: String,
    pub(crate) read_only: bool,
}

impl FromStr for MountArgument {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, read_only) = match parts.as_slice() {
            [host, container] => (host, container, false),
            [host, container, "ro"] => (host, container, true),
            _ => bail!("expected HOST:CTR or HOST:CTR:ro"),
        };
        ensure!(host.starts_with('/') && container.starts_with('/'), "both paths must be absolute");
        Ok(Self { host: (*host).to_owned(), container: (*container).to_owned(), read_only })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_mount_is_writable_unless_it_says_ro() {
        let mount = |text: &str| MountArgument::from_str(text);
        assert!(!mount("/a:/b").unwrap().read_only);
        assert!(mount("/a:/b:ro").unwrap().read_only);
        assert!(mount("/a:/b:rw").is_err());
        assert!(mount("a:/b").is_err());
        assert!(mount("/a").is_err());
    }

    #[test]
    fn a_pair_keeps_later_equal_signs() {
        assert_eq!(Pair::from_str("a=b=c").unwrap().value, "b=c");
        assert!(Pair::from_str("a").is_err());
        assert!(Pair::from_str("=b").is_err());
    }

    #[test]
    fn a_container_needs_a_pod_to_be_in() {
        let parse = |words: &[&str]| Arguments::try_parse_from(words);
        assert!(parse(&["x", "run", "--", "true"]).is_err());
        assert!(parse(&["x", "run", "--pod", "p", "--", "true"]).is_ok());
        assert!(parse(&["x", "run", "--in-pod", "s", "--", "true"]).is_ok());
        assert!(parse(&["x", "run", "--in-pod", "s", "--pod", "p", "--", "true"]).is_err());
    }
}
