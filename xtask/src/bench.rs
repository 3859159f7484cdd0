//! `cargo xtask bench`: guest instructions per operation, with and without the agent.
//!
//! Under QEMU's `-icount shift=0` a nanosecond of the guest is an instruction, so the figures are
//! exact and repeat whatever else this machine does. Each configuration has a guest of its own:
//! the kernel takes its time to let go of programs that were attached.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::guest::{self, GuestBench, Kernel, Shared};

mod table;

use table::{Column, Table};

/// A cgroup that belongs to the node, as a system service's would.
const OUTSIDE: &str = "/system.slice/bulkhead-bench.service";

/// A cgroup as containerd names that of a container.
const TENANT: &str = "/kubepods/besteffort/pod5f1d0c1e-2b7a-4c53-9e0e-7d1f3a6b8c90/\
                      8c1f0e2d4b6a8c1f0e2d4b6a8c1f0e2d4b6a8c1f0e2d4b6a8c1f0e2d4b6a8c1f";

/// Seconds for what still runs after boot to end. They cost nothing: an idle guest skips them.
const SETTLE: u32 = 20;

const EXAMPLES: &str = "Examples:
  cargo xtask bench
  cargo xtask bench --share bench.yaml --with 'bulkhead run --config /share/bench.yaml'
  cargo xtask bench --with 'bulkhead run' --tenant /tenants/a/bench --markdown docs/cost.md

Without --with only the first column, without agent, is measured.";

/// Arguments of `cargo xtask bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Kernel line
    #[arg(short, long, value_enum, default_value_t)]
    kernel: Kernel,
    /// Shell command that starts the agent; it is put into the background
    #[arg(long, value_name = "CMD")]
    with: Option<String>,
    /// Shell command that succeeds as soon as the agent is ready; asked every 0.2 s
    #[arg(long, value_name = "CMD", default_value = "sleep 5", requires = "with")]
    ready: String,
    /// Cgroup of the measured process when it is outside all tenants
    #[arg(long, value_name = "CGROUP", default_value = OUTSIDE)]
    outside: String,
    /// Cgroup of the measured process when it is in a guarded tenant
    #[arg(long, value_name = "CGROUP", default_value = TENANT)]
    tenant: String,
    /// File or directory to show in the guest as /share/NAME, such as the agent's configuration
    #[arg(long, value_name = "PATH[:NAME]", num_args = 1..)]
    share: Vec<Shared>,
    /// Write the table to this file too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Seconds for each configuration
    #[arg(long, value_name = "S", default_value_t = 600)]
    timeout: u64,
}

/// One thing to measure.
#[derive(Debug, PartialEq, Eq)]
struct Configuration<'a> {
    name: &'static str,
    agent: bool,
    cgroup: &'a str,
}

/// Measures and prints the table.
pub(crate) fn perform(arguments: &Arguments) -> Result<ExitCode> {
    let mut columns = Vec::new();
    for configuration in configurations(arguments) {
        eprintln!("bench: {}", configuration.name);
        let printed = guest::bench(&GuestBench {
            kernel: arguments.kernel,
            share: arguments.share.clone(),
            script: script(arguments, &configuration),
            with_agent: configuration.agent,
            timeout: arguments.timeout,
        })?;
        let column = Column::parse(configuration.name, &printed)?;
        ensure!(!column.is_empty(), "the guest measured nothing; it said: {printed}");
        columns.push(column);
    }
    let table = Table::new(columns)?.markdown();
    println!("{table}");
    if let Some(path) = &arguments.markdown {
        fs::write(path, table).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn configurations(arguments: &Arguments) -> Vec<Configuration<'_>> {
    let mut all =
        vec![Configuration { name: "no agent", agent: false, cgroup: &arguments.outside }];
    if arguments.with.is_some() {
        all.push(Configuration { name: "agent idle", agent: true, cgroup: &arguments.outside });
        all.push(Configuration { name: "in a tenant", agent: true, cgroup: &arguments.tenant });
    }
    all
}

/// What the guest does: start the agent, make the cgroup under its eyes, measure inside.
fn script(arguments: &Arguments, configuration: &Configuration<'_>) -> String {
    let start = match &arguments.with {
        Some(with) if configuration.agent => format!(
            "({with}) > /tmp/agent.log 2>&1 &\nagent=$!\n\
             until {ready}; do\n  kill -0 $agent || {{ cat /tmp/agent.log >&2; exit 1; }}\n  \
             sleep 0.2\ndone\n\
             kill -0 $agent || {{ cat /tmp/agent.log >&2; exit 1; }}\n",
            ready = arguments.ready,
        ),
        _ => String::new(),
    };
    format!(
        "{start}mkdir -p /sys/fs/cgroup{cgroup}\n\
         echo $$ > /sys/fs/cgroup{cgroup}/cgroup.procs || exit 1\n\
         sleep {SETTLE}\n\
         exec bulkhead-bench\n",
        cgroup = configuration.cgroup,
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(words: &[&str]) -> Arguments {
        Cli::parse_from([&["bench"], words].concat()).arguments
    }

    #[test]
    fn without_an_agent_there_is_one_thing_to_measure() {
        assert_eq!(configurations(&arguments(&[])).len(), 1);
        assert_eq!(configurations(&arguments(&["--with", "bulkhead run"])).len(), 3);
    }

    #[test]
    fn the_cgroup_is_made_after_the_agent_is_ready() {
        let arguments = arguments(&["--with", "bulkhead run", "--ready", "true"]);
        let tenant = script(&arguments, &configurations(&arguments)[2]);
        let place = |text: &str| tenant.find(text).unwrap();
        assert!(place("(bulkhead run)") < place("until true"));
        assert!(place("until true") < place(&format!("mkdir -p /sys/fs/cgroup{TENANT}")));
        assert!(place("cgroup.procs") < place("exec bulkhead-bench"));
    }

    #[test]
    fn the_first_column_never_starts_the_agent() {
        let arguments = arguments(&["--with", "bulkhead run"]);
        assert!(!script(&arguments, &configurations(&arguments)[0]).contains("bulkhead run"));
    }
}
