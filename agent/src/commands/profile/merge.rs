//! `bulkhead profile merge`

use std::process::ExitCode;

use bulkhead_seccomp::learn;

use super::source;
use crate::cli::profile::MergeProfiles;

pub(super) fn run(arguments: &MergeProfiles) -> anyhow::Result<ExitCode> {
    let mut profiles = Vec::new();
    for file in &arguments.files {
        profiles.push(source::read(file)?.profile);
    }
    let merged = learn::merge(&profiles)?;
    super::hand_out(&merged, arguments.output.as_deref())?;
    Ok(ExitCode::SUCCESS)
}
