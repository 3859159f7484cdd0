//! A control of a container that was found to be missing, or to be back.

use std::fmt;

use serde::Serialize;

use super::{Container, Pod, Text};
use crate::verify::Finding;

/// A change in how a control of a container stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlChange {
    /// The control.
    pub control: &'static str,
    /// How it stands now.
    pub state: &'static str,
    /// What the level asks for.
    pub desired: Text,
    /// What was found.
    pub effective: Text,
    /// What brings it back, where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'static str>,
    /// The tenant.
    pub tenant: Text,
    /// Its level.
    pub level: Text,
    /// The pod, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The container.
    pub container: Container,
}

impl ControlChange {
    /// A finding about a container.
    pub fn new(
        finding: &Finding,
        tenant: &str,
        level: &str,
        pod: Option<&Pod>,
        container: &Container,
    ) -> Self {
        Self {
            control: finding.control.as_str(),
            state: finding.state.as_str(),
            desired: Text::new(&finding.desired),
            effective: Text::new(&finding.effective),
            remedy: finding.state.is_missing().then(|| finding.control.remedy()),
            tenant: Text::new(tenant),
            level: Text::new(level),
            pod: pod.cloned(),
            container: container.clone(),
        }
    }
}

impl fmt::Display for ControlChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} for {}", self.control, self.state, self.tenant)?;
        let pod = self.pod.as_ref().and_then(|pod| pod.name.as_ref());
        let container = self.container.name.as_ref().or(self.container.id.as_ref());
        for part in [pod, container].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        write!(f, ": {} (asked for: {})", self.effective, self.desired)
    }
}
