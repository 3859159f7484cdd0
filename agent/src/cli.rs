//! What was typed.

pub(crate) mod apparmor;
pub(crate) mod profile;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{commands::RuntimeArguments, control, notify, prove};

/// Keeps the tenants of a Kubernetes node apart: applies, sees, stops, alerts, records.
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, arg_required_else_help = true)]
#[command(after_help = "Start with `bulkhead doctor`: what this node's kernel can do.\n\n\
    Exit status: 0 done; 1 an error; 2 something missed (prove); 3 not everything can be enforced \
    here (doctor, prove); 64 a bad configuration.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the agent
    #[command(after_help = "Example:\n  bulkhead run --config /etc/bulkhead/config.yaml\n\n\
        Without a file every container is watched and none is blocked.")]
    Run(RunArguments),
    /// Say what this node's kernel can enforce, what it can only see, and what to change
    #[command(
        after_help = "Examples:\n  bulkhead doctor\n  bulkhead doctor --json | jq .advice\n\n\
        Exit status: 0 when every rule can refuse, 3 when some cannot, 1 on an error."
    )]
    Doctor(DoctorArguments),
    /// Try harmless breakouts in throw-away cgroups and say what became of each
    #[command(after_help = "Examples:\n  bulkhead prove --quick\n  \
        bulkhead prove --level untrusted --json\n\n\
        Exit status: 0 when every level keeps its promise, 2 when something is missed, 3 when this \
        node cannot enforce, 1 on an error.")]
    Prove(prove::Options),
    /// List the tenants of this node with their levels and containers
    #[command(after_help = "Examples:\n  bulkhead tenants\n  \
        bulkhead tenants --json | jq '.tenants[] | {name, level}'\n\n\
        Asks the running agent. Exit status: 0 done, 1 an error.")]
    Tenants(TenantsArguments),
    /// Say whose a container is and how it is held
    #[command(after_help = "Examples:\n  bulkhead container 3f1c\n  \
        bulkhead container --json /kubepods/pod1/3f1c\n\n\
        Asks the running agent. Exit status: 0 done, 1 an error.")]
    Container(ContainerArguments),
    /// Freeze a container and write down what it is doing
    #[command(after_help = "Example:\n  bulkhead freeze 3f1c --reason \"ticket 4711\"\n\n\
        Every process of the container stands still until `bulkhead thaw`. Exit status: 0 frozen, \
        1 an error, or not every process stands still.")]
    Freeze(FreezeArguments),
    /// Let a frozen container go on
    #[command(after_help = "Example:\n  bulkhead thaw 3f1c\n\n\
        `bulkhead tenants` lists the frozen ones. Exit status: 0 done, 1 an error.")]
    Thaw(ThawArguments),
    /// Check, compare, explain and install seccomp profiles
    Profile(profile::ProfileArguments),
    /// Load, list, check and unload AppArmor profiles
    #[command(name = "apparmor")]
    AppArmor(apparmor::AppArmorArguments),
    /// Remove everything that agents have left in this node's kernel
    #[command(
        after_help = "Example:\n  bulkhead unload\n  bulkhead unload --json | jq .programs\n\n\
        The guard outlives the agent, so that a restart leaves no gap. This ends it: nothing is \
        enforced afterwards. Stop the agent first.\n\n\
        Exit status: 0 when nothing of it is left (any more), 1 on an error, an agent that runs \
        among them."
    )]
    Unload(UnloadArguments),
    /// Answer EPERM to the calls that seccomp profiles refuse and tell, and tell them
    #[command(after_help = "Example:\n  bulkhead profile show untrusted --notify > told.json\n  \
        bulkhead notify\n\n\
        Must run before a container with such a profile starts, and as long as it runs: without it \
        the container does not start, and refused calls return ENOSYS.")]
    Notify(NotifyArguments),
    /// Check a configuration file
    #[command(after_help = "Example:\n  bulkhead check /etc/bulkhead/config.yaml\n\n\
        Exit status: 0 when it is good, 64 when not.")]
    Check(CheckArguments),
    /// Print the JSON Schema of the configuration file
    #[command(after_help = "Example:\n  bulkhead schema > config.schema.json")]
    Schema,
    /// The OCI runtime wrapper: install it, look whether it works
    Runtime(RuntimeArguments),
    /// One act of `prove`, in a process of its own
    #[command(hide = true)]
    Act(prove::ActArguments),
    /// Reads processes for a capture, in a process of its own
    #[command(hide = true)]
    CaptureProcesses,
}

/// `bulkhead run`
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The configuration file; watched, and read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Try a few harmless breakouts this often, in minutes (0: never), whatever the configuration
    /// says: one that the guard does not answer is told
    #[arg(long, value_name = "MINUTES")]
    pub(crate) schedule: Option<u64>,
    /// Write every record as the kernel gave it, in hexadecimal, a line each: for replay tests
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) record: Option<PathBuf>,
    /// Let the kernel side count as another build's: for tests of the change from one to the next
    #[arg(long, value_name = "WORD", default_value = "", hide = true)]
    pub(crate) build_mark: String,
}

/// `bulkhead unload`
#[derive(Debug, Args)]
pub(crate) struct UnloadArguments {
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead check`
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The file
    pub(crate) file: PathBuf,
}

/// `bulkhead tenants`
#[derive(Debug, Args)]
pub(crate) struct TenantsArguments {
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// The agent's socket
    #[arg(long, value_name = "PATH", default_value = control::SOCKET)]
    pub(crate) socket: PathBuf,
}

/// `bulkhead container`
#[derive(Debug, Args)]
pub(crate) struct ContainerArguments {
    /// Its id or a beginning of it, or its cgroup's path
    pub(crate) id: String,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// The agent's socket
    #[arg(long, value_name = "PATH", default_value = control::SOCKET)]
    pub(crate) socket: PathBuf,
}

/// `bulkhead freeze`
#[derive(Debug, Args)]
pub(crate) struct FreezeArguments {
    /// The container's id or a beginning of it, or its cgroup's path
    pub(crate) id: String,
    /// Why, for the evidence log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// The agent's socket
    #[arg(long, value_name = "PATH", default_value = control::SOCKET)]
    pub(crate) socket: PathBuf,
}

/// `bulkhead thaw`
#[derive(Debug, Args)]
pub(crate) struct ThawArguments {
    /// The container's id or a beginning of it, or its cgroup's path
    pub(crate) id: String,
    /// The agent's socket
    #[arg(long, value_name = "PATH", default_value = control::SOCKET)]
    pub(crate) socket: PathBuf,
}

/// `bulkhead notify`
#[derive(Debug, Args)]
pub(crate) struct NotifyArguments {
    /// Where the runtimes hand over their listeners: the `listenerPath` of the profiles
    #[arg(long, value_name = "FILE", default_value = notify::SOCKET)]
    pub(crate) socket: PathBuf,
    /// The agent whose evidence log the refused calls go to
    #[arg(long, value_name = "FILE", default_value = control::SOCKET)]
    pub(crate) agent: PathBuf,
    /// The half that answers
    #[arg(long, hide = true)]
    pub(crate) supervise: bool,
}
