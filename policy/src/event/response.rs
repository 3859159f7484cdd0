//! What the agent did about a container, beside refusing in the kernel.

use serde::Serialize;

use super::{Container, Pod, Text};
use crate::catalogue::Severity;

/// What the agent did about a container.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// What.
    pub action: Action,
    /// How much it matters to whoever reads the log.
    #[serde(serialize_with = "super::severity")]
    pub severity: Severity,
    /// The container's tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text>,
    /// The container's pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// The id of its cgroup.
    pub cgroup_id: u64,
    /// Why.
    pub cause: Cause,
    /// From the act, or the command, to every process standing still; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_micros: Option<u64>,
    /// The record of what the container was doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureFile>,
    /// A sentence, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The container was told to stand still.
    Freeze,
    /// What it was doing was written down.
    Capture,
    /// It goes on.
    Thaw,
    /// A freeze was asked for that must not be; the act was refused all the same.
    FreezeWithheld,
    /// A freeze or thaw was tried and failed.
    Failed,
}

impl Action {
    /// The word used in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Capture => "capture",
            Self::Thaw => "thaw",
            Self::FreezeWithheld => "freeze-withheld",
            Self::Failed => "failed",
        }
    }
}

/// Who or what asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Cause {
    /// The policy.
    Rule {
        /// The rule's id.
        rule: &'static str,
        /// The number of the act's own event; 0 where its record was lost and its count told.
        sequence: u64,
        /// The process that acted; absent where its record was lost.
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    },
    /// A person, or a program of theirs.
    #[serde(rename_all = "camelCase")]
    Operator {
        /// The process that asked.
        pid: u32,
        /// Its name.
        comm: Text,
        /// The user that logged in for it, where the kernel knows.
        #[serde(skip_serializing_if = "Option::is_none")]
        login_uid: Option<u32>,
        /// What they say why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
    },
    /// Somebody who did not ask the agent.
    Somebody,
}

/// A file that a capture was written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaptureFile {
    /// Its path.
    pub file: Text,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Processes that are told in full.
    pub processes: u64,
    /// Whether anything was left out; the file says what.
    pub cut: bool,
}
