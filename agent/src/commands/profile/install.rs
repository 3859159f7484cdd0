//! `bulkhead profile install`

use std::{io::Write, process::ExitCode};

use super::print_json;
use crate::{cli::profile::InstallProfiles, profiles};

pub(super) fn run(arguments: &InstallProfiles) -> anyhow::Result<ExitCode> {
    let installed = profiles::install(&arguments.directory)?;
    if arguments.json {
        print_json(&installed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    for file in &installed {
        let what = if file.written { "written" } else { "unchanged" };
        writeln!(out, "{what:<10} {}", file.path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
