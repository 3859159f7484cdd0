//! `bulkhead profile`: seccomp profiles as files.

mod check;
mod diff;
mod explain;
mod install;
mod merge;
mod record;
mod source;
mod trial;

use std::{io::Write, path::Path, process::ExitCode};

use anyhow::Context;
use bulkhead_seccomp::{Profile, Simulation, learn, levels, parse, write};

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
        ProfileVerb::Record(arguments) => record::run(arguments),
        ProfileVerb::Test(arguments) => trial::test(arguments),
        ProfileVerb::Relax(arguments) => trial::relax(arguments),
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
    if let Some(socket) = &arguments.notify {
        let profile = parse(text.as_bytes())?.profile;
        hand_out(&learn::told(&profile, socket), None)?;
    } else {
        std::io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a profile to a file, or to standard output. What cannot be compiled is not handed out.
fn hand_out(profile: &Profile, output: Option<&Path>) -> anyhow::Result<()> {
    Simulation::of(profile).context("the new profile cannot be compiled")?;
    let text = write::to_text(profile);
    match output {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        }
        None => Ok(std::io::stdout().lock().write_all(text.as_bytes())?),
    }
}

/// A document on standard output.
fn print_json(document: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    Ok(writeln!(out)?)
}
