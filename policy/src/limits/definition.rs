//! Limits as the configuration file writes them.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::Quantity;

/// What differs in the limits of a container. A key that is not there changes nothing; `none` lifts
/// the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct LimitsDefinition {
    /// Memory in bytes (`memory.max`).
    #[schemars(with = "Bound")]
    pub memory: Option<Bound>,
    /// Memory in bytes above which it is slowed down and made to give back (`memory.high`).
    #[schemars(with = "Bound")]
    pub memory_high: Option<Bound>,
    /// Swap in bytes (`memory.swap.max`).
    #[schemars(with = "Bound")]
    pub swap: Option<Bound>,
    /// Processors (`cpu.max`).
    #[schemars(with = "Bound")]
    pub cpu: Option<Bound>,
    /// The most weight under contention, 1 to 10000 (`cpu.weight`; 100 is usual).
    #[schemars(with = "Weight")]
    pub cpu_weight: Option<Weight>,
    /// Processes and threads (`pids.max`).
    #[schemars(with = "Bound")]
    pub pids: Option<Bound>,
    /// Rates on each disk of the node (`io.max`).
    pub io: IoDefinition,
    /// Bytes of huge pages by page size, as in `2Mi` (`hugetlb.*.max`).
    pub hugetlb: BTreeMap<String, Bound>,
    /// Open files of one process (`RLIMIT_NOFILE`). New containers only.
    #[schemars(with = "Bound")]
    pub open_files: Option<Bound>,
    /// The least `oom_score_adj`, 0 to 1000. New containers only.
    #[schemars(with = "u64", range(min = 0, max = 1000))]
    pub oom_score: Option<u64>,
}

/// Rates on each disk of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct IoDefinition {
    /// Bytes read in a second.
    #[schemars(with = "Bound")]
    pub read_bytes: Option<Bound>,
    /// Bytes written in a second.
    #[schemars(with = "Bound")]
    pub write_bytes: Option<Bound>,
    /// Reads in a second.
    #[schemars(with = "Bound")]
    pub read_operations: Option<Bound>,
    /// Writes in a second.
    #[schemars(with = "Bound")]
    pub write_operations: Option<Bound>,
}

/// The most that all of a tenant's containers on this node may use together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TenantLimitsDefinition {
    /// Memory in bytes.
    #[schemars(with = "Bound")]
    pub memory: Option<Bound>,
    /// Processors.
    #[schemars(with = "Bound")]
    pub cpu: Option<Bound>,
    /// Processes and threads.
    #[schemars(with = "Bound")]
    pub pids: Option<Bound>,
}

/// What happens to a container that could not be given what its level asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It is made all the same, and an alert is raised.
    #[default]
    Admit,
    /// It is not made.
    Refuse,
}

/// A weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Weight(#[schemars(range(min = 1, max = 10000))] pub u64);

/// A limit, or the word `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// No limit.
    None,
    /// So much.
    Of(Quantity),
}

impl JsonSchema for Bound {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bound".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A quantity as Kubernetes writes it (`512Mi`, `500m`, `2`), or `none`.",
            "type": ["string", "number"],
            "pattern": "^(none|[0-9]*\\.?[0-9]*([KMGTPE]i|[mkKMGTPE]|[eE][0-9]+)?)$",
            "minimum": 0
        })
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bound;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 512Mi, 500m or 2, or none")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Bound, E> {
                Ok(Bound::Of(Quantity::of(number)))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Bound, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bound, E> {
                if text == "none" {
                    return Ok(Bound::None);
                }
                Quantity::parse(text).map(Bound::Of).ok_or_else(|| {
                    E::custom(format_args!(
                        "{text:?} is no quantity; write one as Kubernetes does, such as `512Mi`, \
                         `500m` or `2`, or `none`"
                    ))
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
