//! `cargo xtask guest`: a Debian node in QEMU for what this machine's own kernel cannot do.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

pub(crate) use self::binaries::{RELEASE, agent, test_cargo};
pub(crate) use self::kernel::Kernel;
pub(crate) use self::measure::{GuestBench, bench};
pub(crate) use self::share::Shared;

mod binaries;
mod channel;
mod image;
mod kernel;
mod matrix;
mod measure;
mod oci;
mod programs;
mod qemu;
mod rootfs;
mod run;
mod setup;
mod share;
mod vmlinux;

/// The first word of every progress line.
const AREA: &str = "guest";

/// The security modules of a Debian node, with BPF.
const DEFAULT_LSM: &str = "landlock,lockdown,yama,integrity,apparmor,bpf";

const RUN_EXAMPLES: &str = "Examples:
  cargo xtask guest run -- bulkhead doctor
  cargo xtask guest run -k 6.1 --lsm landlock,lockdown,yama,apparmor -- bulkhead doctor
  cargo xtask guest run --init systemd -- sh -c 'start-containerd && bulkhead-cri version'
  cargo xtask guest run --share target/debug/deps/tenants-1a2b:tenants -- tenants --nocapture

The shared files are in /share, which is on the guest's PATH; `start-containerd` starts a container
runtime. The guest is thrown away at the end.

Exit status: CMD's own; 124 when the time is over; 125 when the guest could not be built or broke.";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boot a node, run CMD in it, pass on its output and exit status
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArguments),
    /// Run CMD on each of the kernels and print a table of the results
    Matrix(RunArguments),
    /// Boot a node and give a shell on this terminal (ends by Ctrl-A x)
    Shell(NodeArguments),
    /// Build the image of a node and stop
    Build {
        /// Kernel line
        #[arg(short, long, value_enum, default_value_t)]
        kernel: Kernel,
        /// Build for every kernel
        #[arg(long, conflicts_with = "kernel")]
        all: bool,
        /// Build the disk of ordinary programs too
        #[arg(long)]
        programs: bool,
    },
    /// Install the packages that the other verbs need on this machine
    Setup,
    /// Remove everything that was built
    Clean,
}

/// What the node is like.
#[derive(Clone, Debug, Args)]
pub(crate) struct NodeArguments {
    /// Kernel line
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) kernel: Kernel,
    /// First process: a script that mounts things (fast), or systemd
    #[arg(long, value_enum, default_value_t)]
    pub(crate) init: Init,
    /// Version of containerd that `start-containerd` starts
    #[arg(long, value_enum, default_value_t)]
    pub(crate) containerd: Containerd,
    /// Active security modules, in order; leave out bpf to test a node without BPF LSM
    #[arg(long, default_value = DEFAULT_LSM)]
    pub(crate) lsm: String,
    /// File or directory to show in the guest as /share/NAME (default: its own name)
    #[arg(long, value_name = "PATH[:NAME]", num_args = 1..)]
    pub(crate) share: Vec<Shared>,
    /// Give the node the image `localhost/bulkhead/programs:1`, which holds ordinary programs
    #[arg(long)]
    pub(crate) programs: bool,
    /// Do without the agent: it is neither built nor shared
    #[arg(long)]
    pub(crate) no_agent: bool,
    /// Cargo profile of our programs: `dev` builds faster, `release` is what users get
    #[arg(long, value_name = "NAME", default_value = binaries::RELEASE)]
    pub(crate) profile: String,
    /// Count instructions: guest time becomes the number of instructions, one CPU
    #[arg(long, conflicts_with = "cpus")]
    pub(crate) icount: bool,
    /// Virtual CPUs
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) cpus: u8,
    /// Memory in MiB
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..))]
    pub(crate) mem: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) node: NodeArguments,
    /// Seconds from power-on to the end of CMD; 124 is the exit status when they are over
    #[arg(long, value_name = "S", default_value_t = 300)]
    pub(crate) timeout: u64,
    /// Write the kernel's console to this file, whatever happens
    #[arg(long, value_name = "FILE")]
    pub(crate) keep_console: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// The guest's first process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Init {
    /// A script of ours; ready in about 3 s; cgroupfs driver.
    #[default]
    Tiny,
    /// systemd; ready in about 12 s; systemd cgroup driver.
    Systemd,
}

/// The container runtime on offer in the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Containerd {
    /// Debian trixie's.
    #[default]
    #[value(name = "1.7")]
    V1_7,
    /// Debian sid's.
    #[value(name = "2.1")]
    V2_1,
}

impl Containerd {
    /// The name that the command line and the guest use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1_7 => "1.7",
            Self::V2_1 => "2.1",
        }
    }
}

/// Installs and builds what every node needs, so that several that start at once find it there.
pub(crate) fn prepare(profile: &str) -> Result<()> {
    setup::ensure()?;
    agent(profile).map(drop)
}

/// Does what the command line asked for.
pub(crate) fn perform(arguments: Arguments) -> Result<ExitCode> {
    match arguments.verb {
        Verb::Run(run) => return run::once(&run),
        Verb::Matrix(run) => return matrix::perform(&run),
        Verb::Shell(node) => run::shell(&node)?,
        Verb::Build { kernel, all, programs } => {
            setup::ensure()?;
            let kernels = if all { Kernel::value_variants() } else { &[kernel] };
            for kernel in kernels {
                let image = image::build(*kernel)?;
                eprintln!("{AREA}: {} {}", kernel.name(), image.disk.display());
            }
            if programs {
                eprintln!("{AREA}: programs {}", self::programs::disk()?.display());
            }
        }
        Verb::Setup => setup::ensure_and_tell()?,
        Verb::Clean => image::clean()?,
    }
    Ok(ExitCode::SUCCESS)
}
