//! `bulkhead schema`

use std::{io::Write, process::ExitCode};

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let text = serde_json::to_string_pretty(&bulkhead_policy::configuration::schema())?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
