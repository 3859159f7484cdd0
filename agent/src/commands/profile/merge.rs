//! `bulkhead profile merge`

use std::{io::Write, process::ExitCode};

use anyhow::Context;
use bulkhead_seccomp::{Simulation, learn, write};

use super::source;
use crate::cli::profile::MergeProfiles;

pub(super) fn run(arguments: &MergeProfiles) -> anyhow::Result<ExitCode> {
    let mut profiles = Vec::new();
    for file in &arguments.files {
        profiles.push(source::read(file)?.profile);
    }
    let merged = learn::merge(&profiles)?;
    // What cannot be compiled is not handed out.
    Simulation::of(&merged).context("the merged profile cannot be compiled")?;
    let text = write::to_text(&merged);
    match &arguments.output {
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("cannot write {}", path.display()))?,
        None => std::io::stdout().lock().write_all(text.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}
