//! What a container must have been given when it was made: seccomp, AppArmor, namespaces, masks.
//!
//! Most of it cannot be added to a running container from outside. So a level says what it
//! requires, the agent looks whether it is there ([`crate::verify`]), and says what to do if not.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether something must be in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    /// It is shown, and its absence is no drift.
    #[default]
    Optional,
    /// Its absence is drift.
    Required,
}

impl Requirement {
    /// Whether its absence is drift.
    pub fn is_required(self) -> bool {
        self == Self::Required
    }
}

/// What becomes of a container that lacks what its level requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// It is told.
    #[default]
    Report,
    /// It is told, and the container is ended, so that it is made anew.
    Evict,
}

/// What a level or tenant changes in the controls of what it refines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ControlChanges {
    /// Every process has a seccomp filter.
    #[schemars(with = "Requirement")]
    pub seccomp: Option<Requirement>,
    /// Every process is confined by an AppArmor profile that is enforced.
    #[schemars(with = "Requirement")]
    pub app_armor: Option<Requirement>,
    /// No process can gain privileges by executing a program.
    #[schemars(with = "Requirement")]
    pub no_new_privileges: Option<Requirement>,
    /// The container has a user namespace, with ids that no other tenant has.
    #[schemars(with = "Requirement")]
    pub user_namespace: Option<Requirement>,
    /// The container shares no namespace with the node.
    #[schemars(with = "Requirement")]
    pub own_namespaces: Option<Requirement>,
    /// The files of /proc and /sys that tell of the node are hidden or read-only.
    #[schemars(with = "Requirement")]
    pub masked_paths: Option<Requirement>,
    /// What becomes of a container that lacks one that is required: `report` or `evict`.
    #[schemars(with = "OnDrift")]
    pub on_drift: Option<OnDrift>,
}

/// What a container must have been given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// A seccomp filter.
    pub seccomp: Requirement,
    /// An enforced AppArmor profile.
    pub app_armor: Requirement,
    /// `no_new_privs`.
    pub no_new_privileges: Requirement,
    /// A user namespace.
    pub user_namespace: Requirement,
    /// Namespaces of its own.
    pub own_namespaces: Requirement,
    /// Masked and read-only paths.
    pub masked_paths: Requirement,
    /// What becomes of a container that lacks one.
    pub on_drift: OnDrift,
}

impl Controls {
    /// These with `changes`.
    #[must_use]
    pub fn refined(self, changes: &ControlChanges) -> Self {
        Self {
            seccomp: changes.seccomp.unwrap_or(self.seccomp),
            app_armor: changes.app_armor.unwrap_or(self.app_armor),
            no_new_privileges: changes.no_new_privileges.unwrap_or(self.no_new_privileges),
            user_namespace: changes.user_namespace.unwrap_or(self.user_namespace),
            own_namespaces: changes.own_namespaces.unwrap_or(self.own_namespaces),
            masked_paths: changes.masked_paths.unwrap_or(self.masked_paths),
            on_drift: changes.on_drift.unwrap_or(self.on_drift),
        }
    }
}
