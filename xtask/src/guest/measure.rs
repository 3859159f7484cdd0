//! A run whose output another task reads: the benchmark's.

use anyhow::{Result, bail};

use super::channel::Sinks;
use super::kernel::Kernel;
use super::run::{self, Outcome};
use super::share::Shared;
use super::{Containerd, DEFAULT_LSM, Init, NodeArguments, RunArguments, binaries, image, setup};

/// What the benchmark asks of a guest.
#[derive(Debug)]
pub(crate) struct GuestBench {
    pub(crate) kernel: Kernel,
    /// Files for the guest, such as the agent's configuration.
    pub(crate) share: Vec<Shared>,
    /// Shell script to run.
    pub(crate) script: String,
    /// Whether the agent is on the PATH.
    pub(crate) with_agent: bool,
    /// Seconds.
    pub(crate) timeout: u64,
}

/// Runs the script in a guest that counts instructions, and returns what it printed.
pub(crate) fn bench(wanted: &GuestBench) -> Result<String> {
    setup::ensure()?;
    let mut programs = vec![binaries::BENCH];
    if wanted.with_agent {
        programs.push(binaries::AGENT);
    }
    let programs = binaries::build(&programs, binaries::RELEASE)?;
    let image = image::build(wanted.kernel)?;
    let run = RunArguments {
        node: NodeArguments {
            kernel: wanted.kernel,
            init: Init::Tiny,
            containerd: Containerd::default(),
            lsm: DEFAULT_LSM.to_owned(),
            share: wanted.share.clone(),
            no_agent: !wanted.with_agent,
            profile: binaries::RELEASE.to_owned(),
            programs: false,
            icount: true,
            cpus: 1,
            mem: 1024,
        },
        timeout: wanted.timeout,
        keep_console: None,
        command: ["sh", "-c", &wanted.script].map(str::to_owned).to_vec(),
    };
    let (sinks, captured) = Sinks::captured();
    match run::boot(&run, &image, &programs, sinks)? {
        Outcome::Exited(0) => Ok(captured.text()),
        other => bail!("the benchmark did not end well: {other:?}; it said: {}", captured.text()),
    }
}
