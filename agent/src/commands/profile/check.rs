//! `bulkhead profile check`

use std::{io::Write, process::ExitCode};

use anyhow::Context;
use bulkhead_seccomp::{
    calls,
    check::{self, Finding, Severity},
};

use super::{FOUND, print_json, source};
use crate::cli::profile::CheckProfile;

pub(super) fn run(arguments: &CheckProfile) -> anyhow::Result<ExitCode> {
    let parsed = source::read(&arguments.file)?;
    let level = arguments.level.as_deref().map(|name| Ok((name, source::level(name)?)));
    let level: Option<(&str, _)> = level.transpose().map_err(|error: anyhow::Error| error)?;
    let level = level.as_ref().map(|(name, simulation)| (*name, simulation));
    let findings = check::check(&parsed, level)
        .with_context(|| format!("{} cannot be used", arguments.file))?;
    if arguments.json {
        print_json(&serde_json::json!({
            "file": arguments.file,
            "level": arguments.level,
            "libseccomp": calls::libseccomp_version(),
            "findings": findings,
        }))?;
    } else {
        print(&arguments.file, &findings)?;
    }
    let wrong = findings.iter().any(|finding| finding.severity > Severity::Note);
    Ok(if wrong { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn print(file: &str, findings: &[Finding]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        writeln!(out, "{severity:<8} {:<22} {}", finding.id, finding.field)?;
        writeln!(out, "         {}", finding.message)?;
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
    writeln!(out, "{file}: {errors} errors, {warnings} warnings, {notes} notes")
}
