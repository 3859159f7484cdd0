//! Bytes to profile. The bytes may be a tenant's: everything is bounded, and an error says where.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    calls::Arch,
    profile::{Action, ArchName, Condition, Filter, Operator, Profile, Rule},
};

/// The largest file. Docker's profile is 15 kB.
pub const MAX_BYTES: usize = 1 << 20;
/// The most rules. Docker's profile has about 40.
const MAX_RULES: usize = 4096;
/// The most names of all rules together: what libseccomp compiles within a second or two.
const MAX_NAMES: usize = 16_384;
/// The longest name; calls have up to 24 letters.
const MAX_NAME: usize = 63;

/// Architectures that libseccomp may know and this crate cannot ask.
const FOREIGN: [&str; 18] = [
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

/// Flags of seccomp(2) that the OCI form knows.
const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// Why bytes are no profile.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// More than a profile ever has.
    #[error("the file has {0} bytes, more than {MAX_BYTES}: it is no seccomp profile")]
    TooLarge(usize),
    /// Not JSON, or not of the form.
    #[error("line {line}, column {column}, in `{field}`: {message}")]
    At {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// As `syscalls[3].action`; `.` is the whole.
        field: String,
        /// What is wrong.
        message: String,
    },
    /// Every part is right, and the whole is not.
    #[error("in `{field}`: {message}")]
    Whole {
        /// As in `At`.
        field: String,
        /// What is wrong.
        message: String,
    },
}

/// A profile, and what of the file a runtime passes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub profile: Profile,
    /// Fields that the OCI form and moby's do not have, as `syscalls[3].nams`.
    pub unknown_fields: Vec<String>,
}

/// Reads a profile.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ParseError> {
    if bytes.len() > MAX_BYTES {
        return Err(ParseError::TooLarge(bytes.len()));
    }
    let mut unknown_fields = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let document = serde_ignored::deserialize::<_, _, Document>(
        serde_path_to_error::Deserializer::new(&mut json, &mut track),
        // A hostile file cannot make the list longer than one screen.
        |path| {
            if unknown_fields.len() < 64 {
                unknown_fields.push(readable(&path.to_string()))
            }
        },
    )
    .map_err(|error| at(&error, track.path().to_string()))?;
    json.end().map_err(|error| at(&error, ".".to_owned()))?;
    Ok(Parsed { profile: document.into_profile()?, unknown_fields })
}

fn at(error: &serde_json::Error, field: String) -> ParseError {
    let text = error.to_string();
    // serde_json says the place at the end of its message too.
    let message = text.split(" at line ").next().unwrap_or_default().to_owned();
    ParseError::At { line: error.line(), column: error.column(), field, message }
}

/// serde_ignored writes `syscalls.?.3.nams`; as the errors do: `syscalls[3].nams`.
fn readable(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('.').filter(|part| *part != "?") {
        if part.parse::<usize>().is_ok() {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}

/// The file. Go writes absent lists as `null`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(deserialize_with = "action_name")]
    default_action: String,
    #[serde(default)]
    default_errno_ret: Option<u16>,
    #[serde(default, deserialize_with = "architectures")]
    architectures: Vec<ArchName>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default, deserialize_with = "flags")]
    flags: Vec<String>,
    #[serde(default)]
    listener_path: Option<String>,
    #[serde(default)]
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<RuleDocument>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    #[serde(deserialize_with = "architecture")]
    architecture: ArchName,
    #[serde(default, deserialize_with = "architectures")]
    sub_architectures: Vec<ArchName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleDocument {
    #[serde(default)]
    name: Option<CallName>,
    #[serde(default)]
    names: Option<Vec<CallName>>,
    #[serde(deserialize_with = "action_name")]
    action: String,
    #[serde(default)]
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<ConditionDocument>>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConditionDocument {
    #[serde(deserialize_with = "argument_index")]
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: Operator,
}

/// The name of a call: short, and nothing but letters, digits and `_`.
struct CallName(String);

impl<'de> Deserialize<'de> for CallName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
            let start: String = name.chars().take(MAX_NAME).collect();
            return Err(D::Error::custom(format!("{start:?} is no name of a system call")));
        }
        Ok(Self(name))
    }
}

fn action_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match Action::named(&name, None) {
        Some(_) => Ok(name),
        None => Err(D::Error::custom(format!(
            "no action {name:?}; one of SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_LOG, \
             SCMP_ACT_NOTIFY, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_KILL, \
             SCMP_ACT_TRAP, SCMP_ACT_TRACE"
        ))),
    }
}

fn architecture<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ArchName, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = Arch::ALL.iter().any(|arch| arch.oci_name() == name) || FOREIGN.contains(&&*name);
    if known {
        Ok(ArchName(name))
    } else {
        Err(D::Error::custom(format!("no architecture {name:?}; for example SCMP_ARCH_X86_64")))
    }
}

/// One architecture in a list.
struct OneArchitecture(ArchName);

impl<'de> Deserialize<'de> for OneArchitecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        architecture(deserializer).map(Self)
    }
}

fn architectures<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ArchName>, D::Error> {
    let list = Option::<Vec<OneArchitecture>>::deserialize(deserializer)?;
    Ok(list.unwrap_or_default().into_iter().map(|one| one.0).collect())
}

fn flags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
    match list.iter().find(|flag| !FLAGS.contains(&flag.as_str())) {
        Some(unknown) => {
            Err(D::Error::custom(format!("no flag {unknown:?}; one of {}", FLAGS.join(", "))))
        }
        None => Ok(list),
    }
}

fn argument_index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let index = u32::deserialize(deserializer)?;
    if index < 6 {
        Ok(index)
    } else {
        Err(D::Error::custom(format!("no argument {index}: a call has six, from 0 to 5")))
    }
}

impl Document {
    fn into_profile(self) -> Result<Profile, ParseError> {
        let whole = |field: &str, message: &str| ParseError::Whole {
            field: field.to_owned(),
            message: message.to_owned(),
        };
        let default_action = Action::named(&self.default_action, self.default_errno_ret)
            .ok_or_else(|| whole("defaultAction", "no such action"))?;
        if default_action == Action::Notify {
            return Err(whole(
                "defaultAction",
                "SCMP_ACT_NOTIFY cannot be the default: the runtime would have to ask for its own calls",
            ));
        }
        let documents = self.syscalls.unwrap_or_default();
        if documents.len() > MAX_RULES {
            return Err(whole("syscalls", &format!("more than {MAX_RULES} rules")));
        }
        let mut rules = Vec::with_capacity(documents.len());
        let mut names = 0;
        for (index, document) in documents.into_iter().enumerate() {
            let field = format!("syscalls[{index}]");
            let rule = document.into_rule().map_err(|message| whole(&field, message))?;
            names += rule.names.len();
            if names > MAX_NAMES {
                return Err(whole(&field, &format!("more than {MAX_NAMES} names in all rules")));
            }
            rules.push(rule);
        }
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut arch_map = BTreeMap::new();
        for entry in self.arch_map.unwrap_or_default() {
            let below = entry.sub_architectures.into_iter().map(|name| name.0).collect();
            arch_map.insert(entry.architecture.0, below);
        }
        Ok(Profile {
            default_action,
            default_errno_given: self.default_errno_ret.is_some(),
            architectures: self.architectures,
            arch_map,
            flags: self.flags,
            listener_path: given(self.listener_path),
            listener_metadata: given(self.listener_metadata),
            rules,
        })
    }
}

impl RuleDocument {
    fn into_rule(self) -> Result<Rule, &'static str> {
        let names: Vec<String> = self
            .name
            .into_iter()
            .chain(self.names.unwrap_or_default())
            .map(|name| name.0)
            .collect();
        if names.is_empty() {
            return Err("a rule without names");
        }
        let action = Action::named(&self.action, self.errno_ret).ok_or("no such action")?;
        if action == Action::Notify && names.iter().any(|name| name == "write") {
            return Err(
                "SCMP_ACT_NOTIFY on `write`: the runtime could not send the listener's descriptor",
            );
        }
        let args = self.args.unwrap_or_default();
        Ok(Rule {
            names,
            action,
            errno_given: self.errno_ret.is_some(),
            args: args.into_iter().map(ConditionDocument::into_condition).collect(),
            comment: self.comment.unwrap_or_default(),
            includes: self.includes.unwrap_or_default(),
            excludes: self.excludes.unwrap_or_default(),
        })
    }
}

impl ConditionDocument {
    fn into_condition(self) -> Condition {
        Condition { index: self.index, value: self.value, value_two: self.value_two, op: self.op }
    }
}
