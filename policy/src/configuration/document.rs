//! The configuration file as it is written: its keys, their types and defaults.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use bulkhead_abi::Verdict;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, value::MapAccessDeserializer, value::SeqAccessDeserializer},
};

use super::exceptions::ExceptionDefinition;
use crate::{
    capability, catalogue,
    controls::ControlChanges,
    limits::{LimitsDefinition, OnError, TenantLimitsDefinition},
};

/// The whole file. Every key has a default, so that an empty file, or none, is valid.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Bulkhead configuration")]
pub struct Configuration {
    /// Where the metrics and the health checks are served.
    pub metrics: Metrics,
    /// The evidence log.
    pub evidence: Evidence,
    /// What the agent keeps from one run to the next. An absolute path.
    pub state_directory: PathBuf,
    /// Where the agent's socket is, for commands. An absolute path.
    pub runtime_directory: PathBuf,
    /// The container runtime's plugin interface.
    pub nri: Nri,
    /// Profiles that the agent puts onto the node.
    pub profiles: Profiles,
    /// The level of containers that no tenant names.
    pub default_level: String,
    /// Levels beside the three built-in ones.
    pub levels: Vec<LevelDefinition>,
    /// What the agent does about a container beside refusing.
    pub response: Response,
    /// How often the agent tries harmless breakouts itself.
    pub canary: Canary,
    /// Who shares this node.
    pub tenants: Vec<TenantDefinition>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            metrics: Metrics::default(),
            evidence: Evidence::default(),
            state_directory: PathBuf::from("/var/lib/bulkhead"),
            runtime_directory: PathBuf::from("/run/bulkhead"),
            nri: Nri::default(),
            profiles: Profiles::default(),
            default_level: "trusted".to_owned(),
            levels: Vec::new(),
            response: Response::default(),
            canary: Canary::default(),
            tenants: Vec::new(),
        }
    }
}

impl Configuration {
    /// Where the evidence log is written.
    pub fn evidence_directory(&self) -> PathBuf {
        let below_state = || self.state_directory.join("evidence");
        self.evidence.directory.clone().unwrap_or_else(below_state)
    }
}

/// Where the metrics and the health checks are served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Metrics {
    /// Address and port of `/metrics`, `/healthz` and `/readyz`.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    pub address: SocketAddr,
}

impl Default for Metrics {
    fn default() -> Self {
        // Loopback: tenants must not read from the network what the agent knows of each other.
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9631)) }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format_args!(
            "{text:?} is no address; write an IP address and a port, as in `127.0.0.1:9631`"
        ))
    })
}

/// The container runtime's plugin interface (NRI).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Nri {
    /// Answer the runtime before it makes a container.
    pub enabled: bool,
    /// Where the runtime listens. An absolute path.
    pub socket: PathBuf,
}

impl Default for Nri {
    fn default() -> Self {
        Self { enabled: true, socket: PathBuf::from("/var/run/nri/nri.sock") }
    }
}

/// Profiles that the agent puts onto the node, for containers to name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Profiles {
    /// Load the levels' AppArmor profiles where AppArmor is active, and put them back when somebody
    /// changes them.
    pub app_armor: bool,
    /// AppArmor profiles of the operator's own: files called by the profile in them. One that is
    /// called as a level's takes its place. An absolute path.
    #[schemars(with = "String", transform = without_default)]
    pub app_armor_directory: Option<PathBuf>,
    /// Where apparmor_parser is: an absolute path. Where distributions have it unless given.
    #[schemars(with = "String", transform = without_default)]
    pub app_armor_parser: Option<PathBuf>,
    /// Write the levels' seccomp profiles to where the kubelet looks for them.
    pub seccomp: bool,
    /// The kubelet's directory of seccomp profiles. An absolute path.
    pub seccomp_directory: PathBuf,
}

impl Default for Profiles {
    fn default() -> Self {
        Self {
            app_armor: true,
            app_armor_directory: None,
            app_armor_parser: None,
            seccomp: true,
            seccomp_directory: PathBuf::from("/var/lib/kubelet/seccomp"),
        }
    }
}

/// The evidence log: one JSON line an event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Evidence {
    /// Where it is written: an absolute path. `evidence` in the state directory unless given.
    #[schemars(with = "String", transform = without_default)]
    pub directory: Option<PathBuf>,
    /// A file that has grown to this many MiB is closed and the next one begun.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(rename = "maxFileMiB")]
    pub max_file_mib: u64,
    /// How many closed files are kept.
    #[schemars(range(min = 1, max = 1000))]
    pub keep_files: u64,
    /// Write each line to standard output too.
    pub stdout: bool,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { directory: None, max_file_mib: 64, keep_files: 8, stdout: false }
    }
}

/// Harmless breakouts that the agent tries itself, in a throw-away cgroup: one that its guard does not
/// answer is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Canary {
    /// Minutes between two rounds; 0 is never.
    #[schemars(range(max = 10080))]
    pub every_minutes: u64,
}

impl Default for Canary {
    fn default() -> Self {
        Self { every_minutes: 60 }
    }
}

/// What the agent does about a container beside refusing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Response {
    /// Namespaces whose containers are never frozen, by no rule and no command: a name, or a
    /// beginning followed by `*`.
    pub never_freeze: Vec<String>,
    /// How many captures of frozen containers are kept; the oldest beyond it is removed.
    #[schemars(range(min = 1, max = 1000))]
    pub keep_captures: u64,
}

impl Default for Response {
    fn default() -> Self {
        Self { never_freeze: vec!["kube-system".to_owned()], keep_captures: 32 }
    }
}

/// A level of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LevelDefinition {
    /// Its name.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// The level that it begins as.
    #[serde(default = "trusted")]
    pub extends: String,
    /// Verdicts that differ from there, by rule id.
    #[serde(default)]
    #[schemars(extend("propertyNames" = rule_names()))]
    pub rules: BTreeMap<String, RuleVerdict>,
    /// What differs in capabilities.
    #[serde(default)]
    pub capabilities: CapabilityLimits,
    /// What differs in the controls that a container must have been given.
    #[serde(default)]
    pub controls: ControlChanges,
    /// What differs in how much a container may use.
    #[serde(default)]
    pub limits: LimitsDefinition,
    /// What happens to a container that cannot be given what the level asks for.
    #[schemars(with = "OnError")]
    pub on_error: Option<OnError>,
}

fn trusted() -> String {
    "trusted".to_owned()
}

/// A tenant: which containers are its own, and how they are held.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TenantDefinition {
    /// Its name, in metrics and the log.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// The level of its containers.
    pub level: String,
    /// Its Kubernetes namespaces: a name, or a beginning followed by `*`.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Its cgroups, from the cgroup v2 root: `/a/b` is one container, `/a/b/*` says that each
    /// child of `/a/b` is one.
    #[serde(default)]
    pub cgroups: Vec<String>,
    /// Verdicts that differ from the level's, by rule id.
    #[serde(default)]
    #[schemars(extend("propertyNames" = rule_names()))]
    pub rules: BTreeMap<String, RuleVerdict>,
    /// What differs in capabilities.
    #[serde(default)]
    pub capabilities: CapabilityLimits,
    /// What differs in the controls that its containers must have been given.
    #[serde(default)]
    pub controls: ControlChanges,
    /// What differs in how much each of its containers may use.
    #[serde(default)]
    pub limits: LimitsDefinition,
    /// How much all of its containers on this node may use together.
    #[serde(default)]
    pub tenant_limits: TenantLimitsDefinition,
    /// What happens to a container that cannot be given what the level asks for.
    #[schemars(with = "OnError")]
    pub on_error: Option<OnError>,
    /// What single workloads may do although the level refuses it.
    #[serde(default)]
    pub exceptions: Vec<ExceptionDefinition>,
}

/// Limits on capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CapabilityLimits {
    /// The capabilities that may be used. Rule BH-CAP-001 says what happens to the use of others.
    #[schemars(with = "Ceiling")]
    pub ceiling: Option<Ceiling>,
}

/// The capabilities that may be used.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Ceiling {
    /// Every one.
    All(AllCapabilities),
    /// These, with or without `CAP_`.
    These(#[schemars(extend("items" = capability_names()))] Vec<String>),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllCapabilities {
    /// Every capability.
    All,
}

/// What happens when a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictWord {
    /// Nothing.
    Off,
    /// It is counted and reported.
    Audit,
    /// It is refused, counted and reported.
    Deny,
    /// It is refused, and the process is killed.
    Kill,
    /// It is refused, and the container is frozen, with a capture of what it was doing.
    Freeze,
}

impl From<VerdictWord> for Verdict {
    fn from(word: VerdictWord) -> Self {
        match word {
            VerdictWord::Off => Self::Off,
            VerdictWord::Audit => Self::Audit,
            VerdictWord::Deny => Self::Deny,
            VerdictWord::Kill => Self::Kill,
            VerdictWord::Freeze => Self::Freeze,
        }
    }
}

/// The verdict of a rule: one for every target, or one for each relation to it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum RuleVerdict {
    /// The same towards everybody but the container itself.
    Every(VerdictWord),
    /// By relation; those that are not named stay as they were.
    ByRelation(RelationVerdicts),
}

/// Verdicts by how the actor stands to its target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RelationVerdicts {
    /// Another container of the same pod.
    #[schemars(with = "VerdictWord")]
    pub pod: Option<VerdictWord>,
    /// Another pod of the same tenant.
    #[schemars(with = "VerdictWord")]
    pub tenant: Option<VerdictWord>,
    /// A container of another tenant.
    #[schemars(with = "VerdictWord")]
    pub cross_tenant: Option<VerdictWord>,
    /// A process of the node.
    #[schemars(with = "VerdictWord")]
    pub host: Option<VerdictWord>,
    /// Not a choice; taken so that the refusal can say why.
    #[serde(rename = "self")]
    #[schemars(skip)]
    pub own: Option<VerdictWord>,
}

// Written out rather than derived with `untagged`, which forgets where a fault is and what was
// expected.
impl<'de> Deserialize<'de> for RuleVerdict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = RuleVerdict;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("off, audit, deny, kill or freeze, or one of them for each relation")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<RuleVerdict, E> {
                VerdictWord::deserialize(word.into_deserializer()).map(RuleVerdict::Every)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RuleVerdict, A::Error> {
                RelationVerdicts::deserialize(MapAccessDeserializer::new(map))
                    .map(RuleVerdict::ByRelation)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Ceiling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Ceiling;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all` or a list of capabilities")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Ceiling, E> {
                AllCapabilities::deserialize(word.into_deserializer()).map(Ceiling::All)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Ceiling, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Ceiling::These)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// For the schema: a default that depends on another key is told in the description alone.
fn without_default(schema: &mut schemars::Schema) {
    schema.remove("default");
}

/// For the schema: the keys that `rules` takes.
pub(super) fn rule_names() -> schemars::Schema {
    let ids: Vec<&str> = catalogue::ALL.iter().map(|row| row.id).collect();
    schemars::json_schema!({ "enum": ids })
}

/// For the schema: the elements that `ceiling` takes.
fn capability_names() -> schemars::Schema {
    let bare = capability::NAMES.iter().map(|&name| name.to_owned());
    let full = capability::NAMES.iter().map(|name| format!("CAP_{name}"));
    let names: Vec<String> = bare.chain(full).collect();
    schemars::json_schema!({ "enum": names })
}
