//! `bulkhead profile`: seccomp profiles as files.

mod check;
mod diff;
mod explain;
mod install;
mod merge;
mod source;

use std::{io::Write, process::ExitCode};

use anyhow::Context;
use bulkhead_seccomp::levels;

use crate::cli::profile::{ProfileArguments, ProfileVerb, ShowProfile};

/// Something was found that must not be there.
const FOUND: u8 = 2;

pub(super) fn run(arguments: &ProfileArguments) -> anyhow::Result<ExitCode> {
    match &arguments.verb {
        ProfileVerb::Check(arguments) => check::run(arguments),
        ProfileVerb::Diff(arguments) => diff::run(arguments),
        ProfileVerb::Explain(arguments) => explain::run(arguments),
        ProfileVerb::Show(arguments) => show(arguments),
        ProfileVerb::Install(arguments) => install::run(arguments),
        ProfileVerb::Merge(arguments) => merge::run(arguments),
    }
}

fn show(arguments: &ShowProfile) -> anyhow::Result<ExitCode> {
    let text = levels::text(&arguments.level).with_context(|| {
        format!(
            "no level {:?} has a profile; one of {}",
            arguments.level,
            levels::LEVELS.join(", ")
        )
    })?;
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A document on standard output.
fn print_json(document: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    Ok(writeln!(out)?)
}
