//! Tightens a configuration. Nothing here takes a restriction away: capabilities are only removed,
//! paths only added, limits only lowered, profiles only put where there was none.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;

use crate::{
    demands::Demands,
    json::{JsonError, Object},
};

/// The sets of a process. An absent one is empty.
const SETS: [&str; 5] = ["bounding", "effective", "inheritable", "permitted", "ambient"];

/// Names that stand for no AppArmor profile.
const UNCONFINED: [&str; 2] = ["", "unconfined"];

/// What a seccomp profile does with the calls that it does not name, where that holds nobody.
const ALLOWING: [&str; 2] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"];

/// The limits that a level may name.
const LIMITS: [(&str, Resource); 8] = [
    ("RLIMIT_AS", Resource::RLIMIT_AS),
    ("RLIMIT_CORE", Resource::RLIMIT_CORE),
    ("RLIMIT_DATA", Resource::RLIMIT_DATA),
    ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE),
    ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK),
    ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE),
    ("RLIMIT_NPROC", Resource::RLIMIT_NPROC),
    ("RLIMIT_STACK", Resource::RLIMIT_STACK),
];

/// Tightens a container's `config.json`. `None`: it is as tight as that already.
///
/// # Errors
/// When it cannot be read.
pub fn container(text: &[u8], demands: &Demands) -> Result<Option<Vec<u8>>, JsonError> {
    let mut configuration = Object::parse(text)?;
    let changed = match configuration.object("process")? {
        Some(process) => tightened_process(process, demands)?,
        None => None,
    };
    let linux = configuration.object("linux")?.unwrap_or_else(|| Object::empty("linux"));
    let linux = tightened_linux(linux, demands)?;
    if let Some(process) = changed {
        configuration.set("process", &process)?;
    }
    if let Some(linux) = linux {
        configuration.set("linux", &linux)?;
    }
    configuration.changed().then(|| configuration.to_text()).transpose()
}

/// Tightens the description of a process that joins a container. `None`: it is as tight already.
///
/// # Errors
/// When it cannot be read.
pub fn process(text: &[u8], demands: &Demands) -> Result<Option<Vec<u8>>, JsonError> {
    let tightened = tightened_process(Object::parse(text)?, demands)?;
    tightened.map(|raw| Ok(raw.get().as_bytes().to_vec())).transpose()
}

/// What a container or process has nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacks {
    /// No seccomp profile that refuses anything.
    pub seccomp: bool,
    /// No AppArmor profile.
    pub apparmor: bool,
}

impl Lacks {
    /// What a container lacks.
    ///
    /// # Errors
    /// When its configuration cannot be read.
    pub fn of_container(text: &[u8]) -> Result<Self, JsonError> {
        let configuration = Object::parse(text)?;
        let process = configuration.object("process")?;
        let linux = configuration.object("linux")?;
        let seccomp = match &linux {
            Some(linux) => linux.object("seccomp")?.as_ref().map_or(Ok(true), holds_nobody)?,
            None => true,
        };
        let apparmor = process.as_ref().map_or(Ok(false), is_unconfined)?;
        Ok(Self { seccomp, apparmor })
    }

    /// What the description of a process lacks, which has no seccomp profile of its own.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_process(text: &[u8]) -> Result<Self, JsonError> {
        Ok(Self { seccomp: false, apparmor: is_unconfined(&Object::parse(text)?)? })
    }
}

fn is_unconfined(process: &Object<'_>) -> Result<bool, JsonError> {
    let present: String = process.read("apparmorProfile")?.unwrap_or_default();
    Ok(UNCONFINED.contains(&present.as_str()))
}

type Tightened = Option<Box<serde_json::value::RawValue>>;

fn raw_if_changed(object: &Object<'_>) -> Result<Tightened, JsonError> {
    let raw = || serde_json::value::to_raw_value(object).map_err(JsonError::Write);
    object.changed().then(raw).transpose()
}

fn tightened_process(mut process: Object<'_>, demands: &Demands) -> Result<Tightened, JsonError> {
    if let Some(ceiling) = &demands.capabilities {
        let sets = match process.object("capabilities")? {
            Some(sets) => reduced(sets, ceiling)?,
            None => None,
        };
        if let Some(sets) = sets {
            process.set("capabilities", &sets)?;
        }
    }
    let free = !process.read("noNewPrivileges")?.unwrap_or(false);
    if demands.no_new_privileges && free {
        process.set("noNewPrivileges", &true)?;
    }
    if let Some(name) = &demands.apparmor
        && is_unconfined(&process)?
    {
        process.set("apparmorProfile", name)?;
    }
    if let Some(limits) = lowered(&process, &demands.rlimits)? {
        process.set("rlimits", &limits)?;
    }
    raw_if_changed(&process)
}

fn reduced(mut sets: Object<'_>, ceiling: &BTreeSet<String>) -> Result<Tightened, JsonError> {
    for set in SETS {
        let Some(mut names) = sets.read::<Vec<String>>(set)? else { continue };
        let before = names.len();
        names.retain(|name| ceiling.contains(&canonical(name)));
        if names.len() < before {
            sets.set(set, &names)?;
        }
    }
    raw_if_changed(&sets)
}

/// runc wants `CAP_CHOWN`; crun takes other spellings too.
fn canonical(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Limit {
    r#type: String,
    hard: u64,
    soft: u64,
}

impl Limit {
    fn of(limit: &Object<'_>) -> Result<Self, JsonError> {
        let (hard, soft) = (limit.needed("hard")?, limit.needed("soft")?);
        Ok(Self { r#type: limit.needed("type")?, hard, soft })
    }
}

/// The limits with each at most what is asked, or nothing where they are that low.
fn lowered(
    process: &Object<'_>,
    most: &BTreeMap<String, u64>,
) -> Result<Option<Vec<Limit>>, JsonError> {
    if most.is_empty() {
        return Ok(None);
    }
    let before = process.objects("rlimits")?;
    let before = before.iter().map(Limit::of).collect::<Result<Vec<_>, _>>()?;
    let mut limits = before.clone();
    for (name, &most) in most {
        let mut named = false;
        for limit in limits.iter_mut().filter(|limit| limit.r#type == *name) {
            limit.hard = limit.hard.min(most);
            limit.soft = limit.soft.min(most);
            named = true;
        }
        if !named {
            let (soft, hard) = inherited(name);
            if hard > most || soft > most {
                let (soft, hard) = (soft.min(most), hard.min(most));
                limits.push(Limit { r#type: name.clone(), hard, soft });
            }
        }
    }
    Ok((limits != before).then_some(limits))
}

/// What a container gets where its configuration says nothing: what this process has, soft then
/// hard. A limit that is not known here counts as none at all.
fn inherited(name: &str) -> (u64, u64) {
    let resource = LIMITS.iter().find(|(known, _)| *known == name).map(|(_, resource)| *resource);
    let limit = resource.map(getrlimit);
    match limit {
        Some(Ok(limit)) => limit,
        Some(Err(_)) | None => (u64::MAX, u64::MAX),
    }
}

fn tightened_linux(mut linux: Object<'_>, demands: &Demands) -> Result<Tightened, JsonError> {
    for (key, more) in
        [("maskedPaths", &demands.masked_paths), ("readonlyPaths", &demands.readonly_paths)]
    {
        let mut paths: Vec<String> = linux.read(key)?.unwrap_or_default();
        let before = paths.len();
        for path in more {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        if paths.len() > before {
            linux.set(key, &paths)?;
        }
    }
    if let Some(profile) = &demands.seccomp {
        let present = linux.object("seccomp")?;
        if present.as_ref().map_or(Ok(true), holds_nobody)? {
            linux.set("seccomp", profile)?;
        }
    }
    raw_if_changed(&linux)
}

/// Whether a seccomp profile refuses nothing at all. One that refuses something is kept: another in
/// its place would allow that.
fn holds_nobody(profile: &Object<'_>) -> Result<bool, JsonError> {
    let allows = |action: String| ALLOWING.contains(&action.as_str());
    let mut holds = !allows(profile.read("defaultAction")?.unwrap_or_default());
    for rule in profile.objects("syscalls")? {
        holds |= !allows(rule.needed("action")?);
    }
    Ok(!holds)
}

#[cfg(test)]
mod tests;
