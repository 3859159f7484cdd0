//! Declared exceptions, as the file has them.

use std::{collections::BTreeMap, fmt};

use bulkhead_abi::Relation;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, value::SeqAccessDeserializer},
};

use super::document::rule_names;

/// What one workload may do although its level refuses it. Each use is counted and reported.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ExceptionDefinition {
    /// Its name, unique in the tenant.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// Why there is one, in one line.
    #[schemars(length(min = 1, max = 200))]
    pub reason: String,
    /// Which containers of the tenant: all that is given must fit.
    pub workload: WorkloadDefinition,
    /// What is loosened, by rule id: `all`, or the relations to the target.
    #[schemars(extend("propertyNames" = rule_names()))]
    pub rules: BTreeMap<String, ExceptedRule>,
    /// The last day on which it holds, in UTC, as in `2027-03-31`. For good unless given.
    #[serde(default)]
    #[schemars(with = "String")]
    pub until: Option<String>,
}

/// Which containers of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct WorkloadDefinition {
    /// The pod's Kubernetes namespace.
    #[schemars(with = "String")]
    pub namespace: Option<String>,
    /// The pod's name, or its beginning followed by `*`.
    #[schemars(with = "String")]
    pub pod: Option<String>,
    /// The container's name in the pod.
    #[schemars(with = "String")]
    pub container: Option<String>,
    /// The digest by which the pod names its image, `sha256:` and 64 hexadecimal digits.
    #[schemars(with = "String", regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub image: Option<String>,
}

/// What of a rule is loosened.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum ExceptedRule {
    /// The rule, whatever the target.
    Every(AllRelations),
    /// The rule towards these targets.
    Towards(Vec<RelationWord>),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllRelations {
    /// Every relation.
    All,
}

/// How the workload stands to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RelationWord {
    /// Another container of the same pod.
    Pod,
    /// Another pod of the same tenant.
    Tenant,
    /// A container of another tenant.
    CrossTenant,
    /// A process of the node.
    Host,
}

impl From<RelationWord> for Relation {
    fn from(word: RelationWord) -> Self {
        match word {
            RelationWord::Pod => Self::Pod,
            RelationWord::Tenant => Self::Tenant,
            RelationWord::CrossTenant => Self::CrossTenant,
            RelationWord::Host => Self::Host,
        }
    }
}

// Written out rather than derived with `untagged`, which forgets where a fault is.
impl<'de> Deserialize<'de> for ExceptedRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ExceptedRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all` or a list of relations")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ExceptedRule, E> {
                AllRelations::deserialize(word.into_deserializer()).map(ExceptedRule::Every)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<ExceptedRule, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(ExceptedRule::Towards)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
