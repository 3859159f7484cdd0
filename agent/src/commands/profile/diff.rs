//! `bulkhead profile diff`

use std::{io::Write, process::ExitCode};

use bulkhead_seccomp::diff;

use super::{FOUND, print_json, source};
use crate::cli::profile::DiffProfiles;

pub(super) fn run(arguments: &DiffProfiles) -> anyhow::Result<ExitCode> {
    let (a, b) = (source::simulation(&arguments.a)?, source::simulation(&arguments.b)?);
    let beyond = diff::allowed_beyond(&a, &b)?;
    if arguments.json {
        print_json(&serde_json::json!({
            "a": arguments.a,
            "b": arguments.b,
            "allowedByAOnly": beyond,
        }))?;
    } else {
        let mut out = std::io::stdout().lock();
        if beyond.is_empty() {
            writeln!(out, "{} allows nothing that {} refuses.", arguments.a, arguments.b)?;
        } else {
            writeln!(out, "{} allows, and {} does not:", arguments.a, arguments.b)?;
        }
        for difference in &beyond {
            writeln!(out, "  {difference}: {}, {}", difference.this, difference.other)?;
        }
    }
    Ok(if beyond.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}
