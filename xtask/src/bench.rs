//! `cargo xtask bench`: guest instructions per operation, with and without the agent.
//!
//! Under QEMU's `-icount shift=0` a nanosecond of the guest is an instruction, so the figures are
//! exact and repeat whatever else this machine does. Each configuration has a guest of its own:
//! the kernel takes its time to let go of programs that were attached. A last guest is for the agent
//! itself: how soon it is ready, what it holds, what an event costs it.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cache;
use crate::guest::{self, GuestBench, Kernel, Shared};

mod figures;
mod table;

use table::{Column, Table};

/// A cgroup that belongs to the node, as a system service's would.
const OUTSIDE: &str = "/system.slice/bulkhead-bench.service";

/// The cgroup of the tenant in `tests/bench/config.yaml`.
const TENANT: &str = "/bulkhead-bench";

/// How the agent is started, and how one sees that it is ready.
const AGENT: &str = "bulkhead run --config /share/config.yaml";
const READY: &str = "busybox wget -q -O /dev/null http://127.0.0.1:9631/readyz";

/// Seconds for what still runs after boot to end. They cost nothing: an idle guest skips them.
const SETTLE: u32 = 20;

const EXAMPLES: &str = "Examples:
  cargo xtask bench
  cargo xtask bench --no-agent
  cargo xtask bench --itself
  cargo xtask bench --config my.yaml --tenant /tenants/a --markdown docs/cost.md
  cargo xtask bench --with 'bpftrace my.bt' --ready 'sleep 3'";

/// Arguments of `cargo xtask bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Kernel line
    #[arg(short, long, value_enum, default_value_t)]
    kernel: Kernel,
    /// Measure without the agent only
    #[arg(long, conflicts_with_all = ["with", "ready", "config", "tenant"])]
    no_agent: bool,
    /// Measure the agent itself only: how soon it is ready, its memory, what an event costs it
    #[arg(long, conflicts_with_all = ["no_agent", "with", "ready", "config", "tenant"])]
    itself: bool,
    /// Shell command that starts the agent; it is put into the background
    #[arg(long, value_name = "CMD", default_value = AGENT)]
    with: String,
    /// Shell command that succeeds as soon as the agent is ready; asked every 0.2 s
    #[arg(long, value_name = "CMD", default_value = READY)]
    ready: String,
    /// The agent's configuration, in the guest /share/config.yaml [default: tests/bench/config.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Cgroup of the measured process when it is outside all tenants
    #[arg(long, value_name = "CGROUP", default_value = OUTSIDE)]
    outside: String,
    /// Cgroup of the measured process when it is in a guarded tenant
    #[arg(long, value_name = "CGROUP", default_value = TENANT)]
    tenant: String,
    /// File or directory to show in the guest as /share/NAME
    #[arg(long, value_name = "PATH[:NAME]", num_args = 1..)]
    share: Vec<Shared>,
    /// Write the table to this file too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Seconds for each configuration
    #[arg(long, value_name = "S", default_value_t = 600)]
    timeout: u64,
}

impl Arguments {
    /// Whether the agent that is measured is this one, so that it can be asked about itself.
    fn is_about_the_agent(&self) -> bool {
        !self.no_agent && self.with == AGENT
    }
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
    let mut share = arguments.share.clone();
    if !arguments.no_agent {
        let own = || cache::repository().join("tests/bench/config.yaml");
        let config = arguments.config.clone().unwrap_or_else(own);
        share.push(Shared::named(&config, "config.yaml")?);
    }
    let mut columns = Vec::new();
    let measured = |name: &'static str, share: &[Shared], script: String, with_agent: bool| {
        eprintln!("bench: {name}");
        guest::bench(&GuestBench {
            kernel: arguments.kernel,
            share: share.to_vec(),
            script,
            with_agent,
            timeout: arguments.timeout,
        })
    };
    for configuration in configurations(arguments) {
        let script = script(arguments, &configuration);
        let printed = measured(configuration.name, &share, script, configuration.agent)?;
        let column = Column::parse(configuration.name, &printed)?;
        ensure!(!column.is_empty(), "the guest measured nothing; it said: {printed}");
        columns.push(column);
    }
    let mut table = match arguments.itself {
        true => String::new(),
        false => Table::new(columns)?.markdown() + "\n",
    };
    if arguments.is_about_the_agent() {
        let own = cache::repository().join("tests/bench/agent.yaml");
        let share = [Shared::named(&own, "agent.yaml")?];
        let script = format!("sleep {SETTLE}\nexec bulkhead-bench --agent /share/agent.yaml\n");
        let printed = measured("the agent itself", &share, script, true)?;
        table.push_str(&figures::markdown(&printed)?);
    }
    println!("{table}");
    if let Some(path) = &arguments.markdown {
        fs::write(path, table).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn configurations(arguments: &Arguments) -> Vec<Configuration<'_>> {
    if arguments.itself {
        return Vec::new();
    }
    let mut all =
        vec![Configuration { name: "no agent", agent: false, cgroup: &arguments.outside }];
    if !arguments.no_agent {
        all.push(Configuration { name: "agent idle", agent: true, cgroup: &arguments.outside });
        all.push(Configuration { name: "in a tenant", agent: true, cgroup: &arguments.tenant });
    }
    all
}

/// What the guest does: start the agent, make the cgroup under its eyes, measure inside.
///
/// Addresses are not randomised: with page tables of another shape each time, forks would repeat to
/// a few percent only.
fn script(arguments: &Arguments, configuration: &Configuration<'_>) -> String {
    let Arguments { with, ready, .. } = arguments;
    let start = if configuration.agent {
        let alive = "kill -0 $agent || { cat /tmp/agent.log >&2; exit 1; }";
        format!(
            "({with}) > /tmp/agent.log 2>&1 &\nagent=$!\n\
             until {{ {ready}; }} 2>> /tmp/agent.log; do\n  {alive}\n  sleep 0.2\ndone\n{alive}\n"
        )
    } else {
        String::new()
    };
    format!(
        "echo 0 > /proc/sys/kernel/randomize_va_space\n\
         {start}mkdir -p /sys/fs/cgroup{cgroup}\n\
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
        assert_eq!(configurations(&arguments(&["--no-agent"])).len(), 1);
        assert_eq!(configurations(&arguments(&[])).len(), 3);
    }

    #[test]
    fn an_agent_that_is_not_ours_is_not_asked_about_itself() {
        assert!(arguments(&[]).is_about_the_agent());
        assert!(!arguments(&["--no-agent"]).is_about_the_agent());
        assert!(!arguments(&["--with", "watch-all", "--ready", "true"]).is_about_the_agent());
    }

    #[test]
    fn the_cgroup_is_made_after_the_agent_is_ready() {
        let arguments = arguments(&["--with", "watch-all", "--ready", "true"]);
        let tenant = script(&arguments, &configurations(&arguments)[2]);
        let place = |text: &str| tenant.find(text).unwrap();
        assert!(place("(watch-all)") < place("until { true; }"));
        assert!(place("until { true; }") < place(&format!("mkdir -p /sys/fs/cgroup{TENANT}")));
        assert!(place("cgroup.procs") < place("exec bulkhead-bench"));
    }

    #[test]
    fn the_first_column_never_starts_the_agent() {
        let arguments = arguments(&[]);
        assert!(!script(&arguments, &configurations(&arguments)[0]).contains("bulkhead run"));
        assert!(script(&arguments, &configurations(&arguments)[1]).contains("bulkhead run"));
    }

    #[test]
    fn the_measured_tenant_is_the_one_of_the_configuration() {
        let config = cache::repository().join("tests/bench/config.yaml");
        let text = fs::read_to_string(config).unwrap();
        assert!(text.contains(&format!("cgroups: [{TENANT}]")), "{text}");
    }
}
