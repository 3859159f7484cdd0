//! `bulkhead check`

use std::{io::Write, process::ExitCode};

use crate::{cli::CheckArguments, settings};

pub(super) fn run(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let settings = settings::load(Some(&arguments.file))?;
    let mut out = std::io::stdout().lock();
    let tenants = settings.policy.tenants();
    writeln!(out, "{} is good: {} tenants", arguments.file.display(), tenants.len())?;
    for tenant in tenants {
        writeln!(out, "  {:<24} {}", tenant.name(), tenant.level().name())?;
    }
    let default = settings.policy.default_level();
    writeln!(out, "  {:<24} {}", "(everyone else)", default.name())?;
    Ok(ExitCode::SUCCESS)
}
