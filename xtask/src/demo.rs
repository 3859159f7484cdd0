//! `cargo xtask demo`: the main job, shown.
//!
//! First what this machine's own kernel can do, then two tenants' containers, the breakouts between
//! them and what became of each, on a guest node. The guest is where the containers run in any
//! case: a demonstration does not start a container runtime on somebody's machine.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{cache, command, guest};

/// The first word of every progress line.
const AREA: &str = "demo";

/// What runs in the guest.
const SCRIPT: &str = "tests/guest/demo.sh";

/// What `bulkhead doctor` exits with when some rules cannot refuse here.
const NOT_ENFORCED: i32 = 3;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Look at this machine only; boot no guest
    #[arg(long)]
    host_only: bool,
    /// Options of `cargo xtask guest run` for the node, after `--`
    #[arg(last = true, value_name = "OPTION")]
    node: Vec<String>,
}

/// Does what the command line asked for.
pub(crate) fn perform(arguments: &Arguments) -> Result<ExitCode> {
    let agent = guest::agent(guest::RELEASE)?;
    heading("This machine's kernel: bulkhead doctor");
    let looked = Command::new(&agent).arg("doctor").status().context("cannot start bulkhead")?;
    match looked.code() {
        Some(0) => {
            heading("This kernel can refuse everything on the list: bulkhead prove --quick");
            command::run_visibly(Command::new(&agent).args(["prove", "--quick"]))?;
        }
        Some(NOT_ENFORCED) => {
            eprintln!(
                "{AREA}: this kernel cannot refuse all of it; the guest's can, so see it there"
            );
        }
        _ => anyhow::bail!("`bulkhead doctor` failed, {looked}"),
    }
    if arguments.host_only {
        return Ok(ExitCode::SUCCESS);
    }
    let script = cache::repository().join(SCRIPT);
    ensure!(script.is_file(), "{SCRIPT} is missing: there is nothing to show in the guest");
    heading("A guest node: two tenants' containers, and breakouts tried between them");
    let own = std::env::current_exe().context("where is this program?")?;
    let mut run = Command::new(own);
    run.args(["guest", "run", "--timeout", "900"]).args(&arguments.node);
    run.arg("--share").arg(format!("{}:demo", script.display())).args(["--", "demo"]);
    Ok(if command::succeeds_visibly(&mut run)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Headings go where the results go, so that a saved transcript has them.
fn heading(text: &str) {
    println!("\n== {text}\n");
}
