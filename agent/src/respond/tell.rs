//! What was done, as events.

use bulkhead_policy::{
    catalogue::Severity,
    event::{Action, Cause, Response, Text},
};

use super::FreezeError;
use crate::workloads::Listed;

/// What was asked for and not done, as an event.
pub(crate) fn failed(listed: &Listed<'_>, cause: Cause, error: &FreezeError) -> Response {
    let action = match error {
        FreezeError::Withheld(_) => Action::FreezeWithheld,
        FreezeError::Write { .. } => Action::Failed,
    };
    let message = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Response { message: Some(Text::new(message)), ..about(action, listed, cause) }
}

/// An event about a container.
pub(super) fn about(action: Action, listed: &Listed<'_>, cause: Cause) -> Response {
    Response {
        tenant: Some(Text::new(&listed.workload.assignment.tenant)),
        pod: listed.pod.cloned(),
        container: Some(listed.container.clone()),
        ..response(action, listed.cgroup, cause)
    }
}

/// How much an action matters to whoever reads the log.
pub(super) fn severity_of(action: Action) -> Severity {
    match action {
        Action::Freeze | Action::Failed => Severity::Critical,
        Action::FreezeWithheld => Severity::High,
        Action::Capture | Action::Thaw => Severity::Medium,
    }
}

/// An event about a cgroup of which nothing else is known.
pub(super) fn response(action: Action, cgroup: u64, cause: Cause) -> Response {
    Response {
        action,
        severity: severity_of(action),
        tenant: None,
        pod: None,
        container: None,
        cgroup_id: cgroup,
        cause,
        took_micros: None,
        capture: None,
        message: None,
    }
}
