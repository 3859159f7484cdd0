//! What is wrong with a profile, or will surprise.

mod danger;
mod filter;
mod form;

use serde::Serialize;

use crate::{bpf::FilterError, compile::CompileError, diff, parse::Parsed, simulate::Simulation};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not what was meant.
    Warning,
    /// Does not do what it says, or opens what must be closed.
    Error,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing; stays the same between versions.
    pub id: &'static str,
    /// Where, as `syscalls[3]`; `.` is the whole.
    pub field: String,
    /// What it is, and what to do.
    pub message: String,
}

impl Finding {
    fn new(
        severity: Severity,
        id: &'static str,
        field: impl Into<String>,
        message: String,
    ) -> Self {
        Self { severity, id, field: field.into(), message }
    }

    fn note(id: &'static str, field: impl Into<String>, message: String) -> Self {
        Self::new(Severity::Note, id, field, message)
    }

    fn warning(id: &'static str, field: impl Into<String>, message: String) -> Self {
        Self::new(Severity::Warning, id, field, message)
    }

    fn error(id: &'static str, field: impl Into<String>, message: String) -> Self {
        Self::new(Severity::Error, id, field, message)
    }
}

/// Why a profile could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its filter cannot be run.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// Checks a profile, against that of a level where one is given. The worst comes first.
pub fn check(
    parsed: &Parsed,
    level: Option<(&str, &Simulation)>,
) -> Result<Vec<Finding>, CheckError> {
    let profile = &parsed.profile;
    let mut findings: Vec<Finding> = parsed
        .unknown_fields
        .iter()
        .map(|field| {
            let message = "no field of a seccomp profile: the runtimes pass over it".to_owned();
            Finding::warning("unknown-field", field, message)
        })
        .collect();
    findings.extend(form::findings(profile));
    let simulation = Simulation::of(profile)?;
    findings.extend(filter::findings(profile, &simulation)?);
    match level {
        Some((name, level)) => findings.extend(beyond(&simulation, name, level)?),
        None => findings.extend(danger::findings(&simulation)?),
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(findings)
}

/// What the profile allows that its level does not.
fn beyond(own: &Simulation, name: &str, level: &Simulation) -> Result<Vec<Finding>, FilterError> {
    let found = diff::allowed_beyond(own, level)?;
    Ok(found
        .into_iter()
        .map(|difference| {
            let message = format!("{difference}: the level {name} does not allow it");
            Finding::error("beyond-level", ".", message)
        })
        .collect())
}
