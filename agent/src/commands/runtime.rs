//! `bulkhead runtime`

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use bulkhead_runtime::levels::Levels;
use clap::{Args, Subcommand};
use serde_json::json;

use super::NOT_ENFORCED;
use crate::wrapper::{self, Installation, Installed, LEVELS_FILE};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `bulkhead runtime`
#[derive(Debug, Args)]
pub(crate) struct RuntimeArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Put the wrapper into a directory of the node; versions before it stay
    #[command(after_help = "Example:\n  bulkhead runtime install --to /opt/bulkhead\n\n\
        Then name /opt/bulkhead/bin/bulkhead-runc (or -crun) as the runtime of a handler: see \
        docs/runtime-wrapper.md.")]
    Install {
        /// The program (default: `bulkhead-runtime` beside this one)
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Where it goes
        #[arg(long, value_name = "DIRECTORY", default_value = "/opt/bulkhead")]
        to: PathBuf,
        /// One JSON document on standard output
        #[arg(long)]
        json: bool,
    },
    /// Say which version is installed, and whether it can confine a tenant's container
    #[command(
        after_help = "Example:\n  bulkhead runtime status --levels /run/bulkhead/levels.json\n\n\
        Exit status: 0 when it can, 3 when not, 1 on an error."
    )]
    Status {
        /// Where it was installed
        #[arg(long, value_name = "DIRECTORY", default_value = "/opt/bulkhead")]
        to: PathBuf,
        /// The file that the agent writes into its state directory
        #[arg(long, value_name = "FILE", default_value = "/run/bulkhead/levels.json")]
        levels: PathBuf,
        /// One JSON document on standard output
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(arguments: &RuntimeArguments) -> anyhow::Result<ExitCode> {
    match &arguments.verb {
        Verb::Install { from, to, json } => install(from.as_deref(), to, *json),
        Verb::Status { to, levels, json } => status(to, levels, *json),
    }
}

fn install(from: Option<&Path>, to: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let beside = || -> anyhow::Result<PathBuf> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        Ok(own.with_file_name("bulkhead-runtime"))
    };
    let program = from.map_or_else(beside, |path| Ok(path.to_owned()))?;
    let done = wrapper::install(&program, VERSION, &Installation::in_directory(to))
        .context("cannot install the runtime wrapper")?;
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &done)?;
        writeln!(out)?;
    } else {
        print(&done, &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn status(to: &Path, levels: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let found = Installation::in_directory(to).look(VERSION)?;
    let read = Levels::load(levels);
    let ready = read.is_ok() && !found.links.is_empty();
    let told = match &read {
        Ok(read) => format!("{} tenants in {}", read.tenants.len(), levels.display()),
        Err(error) => error.to_string(),
    };
    let mut out = std::io::stdout().lock();
    if json {
        let all = json!({"installed": found, "levels": told, "ready": ready});
        serde_json::to_writer_pretty(&mut out, &all)?;
        writeln!(out)?;
    } else {
        print(&found, &mut out)?;
        writeln!(out, "{LEVELS_FILE}: {told}")?;
        let word = if ready { "can be confined" } else { "cannot be confined, and are refused" };
        writeln!(out, "Containers of tenants that use the wrapper {word}.")?;
    }
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(NOT_ENFORCED) })
}

fn print(installed: &Installed, out: &mut impl Write) -> std::io::Result<()> {
    if installed.links.is_empty() {
        writeln!(out, "Not installed. `bulkhead runtime install` does it.")?;
    }
    for (link, target) in &installed.links {
        writeln!(out, "{} -> {}", link.display(), target.display())?;
    }
    for version in &installed.kept {
        writeln!(out, "kept: version {version}")?;
    }
    Ok(())
}
