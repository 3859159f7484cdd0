//! What a container should have been given against what it has.
//!
//! Pure: the agent reads /proc, this says what it means. A control that is absent though the level
//! requires it is drift; where the guard refuses the same thing in the kernel, it is said so; where
//! the node cannot have the control at all, that is said instead of drift.

pub mod ids;
pub mod mounts;
pub mod status;

use std::fmt;

pub use ids::{IdRange, Overlap, overlaps};
pub use mounts::{Exposure, MASKED, READ_ONLY};
pub use status::{CapabilitySets, Seccomp, Status};

use crate::{
    capability::Capabilities,
    controls::{Controls, Requirement},
};

/// A control that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Control {
    /// A seccomp filter in every process.
    Seccomp,
    /// An enforced AppArmor profile on every process.
    AppArmor,
    /// `no_new_privs` of every process.
    NoNewPrivileges,
    /// No capability above the level's ceiling.
    Capabilities,
    /// A user namespace of its own.
    UserNamespace,
    /// No namespace shared with the node.
    OwnNamespaces,
    /// /proc and /sys without what tells of the node.
    MaskedPaths,
    /// No device but those that the runtime granted.
    Devices,
}

impl Control {
    /// Every control, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Seccomp,
        Self::AppArmor,
        Self::NoNewPrivileges,
        Self::Capabilities,
        Self::UserNamespace,
        Self::OwnNamespaces,
        Self::MaskedPaths,
        Self::Devices,
    ];

    /// The word in metrics, the log and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::AppArmor => "apparmor",
            Self::NoNewPrivileges => "no_new_privileges",
            Self::Capabilities => "capabilities",
            Self::UserNamespace => "user_namespace",
            Self::OwnNamespaces => "own_namespaces",
            Self::MaskedPaths => "masked_paths",
            Self::Devices => "devices",
        }
    }

    /// What brings it back.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Seccomp => {
                "restart needed: a filter cannot be added from outside. Set \
                 securityContext.seccompProfile of the pod"
            }
            Self::AppArmor => {
                "restart needed where the container is unconfined: name a profile in \
                 securityContext.appArmorProfile. Where it only complains, load the profile in \
                 enforce mode"
            }
            Self::NoNewPrivileges => {
                "restart needed: set securityContext.allowPrivilegeEscalation to false"
            }
            Self::Capabilities => {
                "restart needed: drop them in securityContext.capabilities, or raise \
                 capabilities.ceiling of the tenant"
            }
            Self::UserNamespace => "restart needed: set hostUsers of the pod to false",
            Self::OwnNamespaces => {
                "restart needed: remove hostNetwork, hostPID and hostIPC from the pod"
            }
            Self::MaskedPaths => {
                "restart needed: the pod is privileged, has procMount Unmasked, or its masks were \
                 unmounted"
            }
            Self::Devices => {
                "restart needed where the runtime's own device program is gone: it comes with the \
                 container's start. Where the agent has none: a kernel with CONFIG_CGROUP_BPF, and \
                 CAP_NET_ADMIN to attach one"
            }
        }
    }
}

/// The devices that a container's runtime has granted to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Devices {
    /// Its configuration was not found, or says nothing.
    #[default]
    Unknown,
    /// Every one: it is privileged.
    All,
    /// So many, beside those that every container has.
    Granted(usize),
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not known: the runtime's own program decides alone"),
            Self::All => f.write_str("all granted"),
            Self::Granted(0) => f.write_str("none granted beside the usual"),
            Self::Granted(count) => write!(f, "{count} granted beside the usual"),
        }
    }
}

/// How an AppArmor profile holds a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confinement {
    /// Not at all.
    Unconfined,
    /// What it does is logged.
    Complain,
    /// What is not allowed is refused.
    Enforce,
}

/// The label of a process: a profile and how it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The profile's name; `unconfined` without one.
    pub profile: String,
    /// How it holds.
    pub confinement: Confinement,
}

impl Label {
    /// Reads `/proc/PID/attr/apparmor/current`: `unconfined`, or `NAME (MODE)`.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_end_matches(['\n', '\0']);
        let (profile, mode) = match text.rsplit_once(" (") {
            Some((profile, mode)) => (profile, mode.trim_end_matches(')')),
            None => (text, ""),
        };
        // A mode that is not known here (`kill` and `prompt` refuse too, `mixed` need not).
        let confinement = match mode {
            "enforce" | "kill" => Confinement::Enforce,
            "" => Confinement::Unconfined,
            "unconfined" => Confinement::Unconfined,
            _ => Confinement::Complain,
        };
        Self { profile: profile.to_owned(), confinement }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.confinement {
            Confinement::Unconfined => f.write_str("unconfined"),
            Confinement::Complain => write!(f, "{} (complain)", self.profile),
            Confinement::Enforce => write!(f, "{} (enforce)", self.profile),
        }
    }
}

/// What was found in force: of several processes of a container the weakest, point by point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Processes that were looked at.
    pub processes: usize,
    /// Seccomp, `no_new_privs` and capabilities.
    pub status: Status,
    /// The AppArmor label; `None` where the kernel has none to show.
    pub label: Option<Label>,
    /// Where the container's user ids lie among the node's; empty in the node's own namespace.
    pub uids: Vec<IdRange>,
    /// The same of groups.
    pub gids: Vec<IdRange>,
    /// Whether its user namespace is its own.
    pub own_user_namespace: bool,
    /// Kinds of namespaces that are the node's (`net`, `pid`, ...), the user's aside.
    pub shared_namespaces: Vec<&'static str>,
    /// What of /proc and /sys is exposed.
    pub exposed: Exposure,
    /// Whether the runtime's own device program is there; `None` where it was not looked for.
    pub runtime_device_program: Option<bool>,
}

impl Effective {
    /// The weaker of this and another process's, point by point.
    #[must_use]
    pub fn weakest(mut self, other: Self) -> Self {
        self.processes += other.processes;
        self.status = self.status.weakest(other.status);
        self.label = match (self.label, other.label) {
            (Some(one), Some(two)) if two.confinement < one.confinement => Some(two),
            (one, None) => one,
            (None, two) => two,
            (one, _) => one,
        };
        self.own_user_namespace &= other.own_user_namespace;
        for kind in other.shared_namespaces {
            if !self.shared_namespaces.contains(&kind) {
                self.shared_namespaces.push(kind);
            }
        }
        self.exposed = self.exposed.union(other.exposed);
        self.runtime_device_program =
            match (self.runtime_device_program, other.runtime_device_program) {
                (Some(one), Some(two)) => Some(one && two),
                (one, two) => one.or(two),
            };
        self
    }
}

/// What the node itself can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// AppArmor is on.
    pub app_armor: bool,
    /// The guard refuses capabilities above the ceiling at this level.
    pub guards_ceiling: bool,
    /// What happens at this level to devices that were not granted.
    pub devices: DeviceGuard,
    /// What the container was granted.
    pub granted: Devices,
}

/// What the guard does about devices that were not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceGuard {
    /// It refuses them.
    Refuses,
    /// The level does not ask it to.
    Tells,
    /// The level asks it to, and this node cannot.
    Unavailable,
}

/// How a control stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It is in force.
    InForce,
    /// The container lacks it, and the guard refuses the same in the kernel.
    Guarded,
    /// It is absent, and the level does not require it.
    Absent,
    /// The level requires it, and this node cannot have it.
    Unavailable,
    /// The level requires it, and it is absent: drift.
    Drift,
}

impl State {
    /// Whether the level requires it and it is not there.
    pub fn is_missing(self) -> bool {
        matches!(self, Self::Drift | Self::Unavailable)
    }

    /// The word in metrics, the log and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in-force",
            Self::Guarded => "guarded",
            Self::Absent => "absent",
            Self::Unavailable => "unavailable",
            Self::Drift => "drift",
        }
    }
}

/// One control of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub control: Control,
    /// How it stands.
    pub state: State,
    /// What the level asks for.
    pub desired: String,
    /// What was found.
    pub effective: String,
}

/// Compares what a level asks for with what was found.
pub fn compare(
    controls: Controls,
    ceiling: Capabilities,
    effective: &Effective,
    node: Node,
) -> Vec<Finding> {
    Control::ALL
        .iter()
        .map(|&control| finding(control, controls, ceiling, effective, node))
        .collect()
}

fn finding(
    control: Control,
    controls: Controls,
    ceiling: Capabilities,
    effective: &Effective,
    node: Node,
) -> Finding {
    let (requirement, in_force, desired, found) = match control {
        Control::Seccomp => (
            controls.seccomp,
            matches!(effective.status.seccomp, Seccomp::Strict | Seccomp::Filter(_)),
            "a filter".to_owned(),
            effective.status.seccomp.to_string(),
        ),
        Control::AppArmor => {
            let label = effective.label.as_ref();
            let enforced = label.is_some_and(|it| it.confinement == Confinement::Enforce);
            let found = label.map_or_else(|| "no AppArmor".to_owned(), Label::to_string);
            (controls.app_armor, enforced, "a profile in enforce mode".to_owned(), found)
        }
        Control::NoNewPrivileges => (
            controls.no_new_privileges,
            effective.status.no_new_privileges,
            "set".to_owned(),
            if effective.status.no_new_privileges { "set" } else { "not set" }.to_owned(),
        ),
        Control::Capabilities => {
            let above = effective.status.capabilities.reachable().without(ceiling);
            let found = match above {
                Capabilities::NONE => "none above".to_owned(),
                above => format!("above: {above}"),
            };
            let required = if ceiling == Capabilities::ALL {
                Requirement::Optional
            } else {
                Requirement::Required
            };
            (required, above == Capabilities::NONE, format!("at most {ceiling}"), found)
        }
        Control::UserNamespace => (
            controls.user_namespace,
            effective.own_user_namespace,
            "its own".to_owned(),
            if effective.own_user_namespace { "its own" } else { "the node's" }.to_owned(),
        ),
        Control::OwnNamespaces => {
            let shared = &effective.shared_namespaces;
            let found = match shared.is_empty() {
                true => "its own".to_owned(),
                false => format!("the node's: {}", shared.join(" ")),
            };
            (controls.own_namespaces, shared.is_empty(), "its own".to_owned(), found)
        }
        Control::MaskedPaths => (
            controls.masked_paths,
            effective.exposed.is_nothing(),
            "masked and read-only".to_owned(),
            effective.exposed.to_string(),
        ),
        Control::Devices => (
            match node.devices {
                DeviceGuard::Tells => Requirement::Optional,
                _ if node.granted == Devices::All => Requirement::Optional,
                DeviceGuard::Refuses | DeviceGuard::Unavailable => Requirement::Required,
            },
            node.devices == DeviceGuard::Refuses
                && matches!(node.granted, Devices::Granted(_))
                && !lost_device_program(effective, node),
            "what the runtime granted".to_owned(),
            match lost_device_program(effective, node) {
                true => format!("{}; the runtime's own program is gone", node.granted),
                false => node.granted.to_string(),
            },
        ),
    };
    let state = match (in_force, requirement) {
        (true, _) => State::InForce,
        (false, _) if control == Control::Capabilities && node.guards_ceiling => State::Guarded,
        (false, Requirement::Optional) => State::Absent,
        (false, Requirement::Required) if control == Control::AppArmor && !node.app_armor => {
            State::Unavailable
        }
        // Without a program of ours, or without the grants, the runtime's own holds.
        (false, Requirement::Required)
            if control == Control::Devices && !lost_device_program(effective, node) =>
        {
            State::Unavailable
        }
        (false, Requirement::Required) => State::Drift,
    };
    Finding { control, state, desired, effective: found }
}

/// Whether a runtime that had granted some devices, and so attached a program for the others, has it
/// no longer.
fn lost_device_program(effective: &Effective, node: Node) -> bool {
    matches!(node.granted, Devices::Granted(_)) && effective.runtime_device_program == Some(false)
}

#[cfg(test)]
mod tests;
