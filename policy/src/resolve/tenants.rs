//! Who shares the node.

use std::collections::HashMap;

use super::{exceptions, inside, is_label, levels::Levels};
use crate::{
    claim::{CgroupClaim, NamespaceClaim},
    configuration::{Fault, FieldPath, Problem, TenantDefinition},
    level::{Changes, Level},
    limits::TenantLimits,
    policy::{RESERVED, Tenant},
    slots::{MAX_EXCEPTIONS, MAX_TENANTS},
};

pub(super) fn resolve(
    definitions: &[TenantDefinition],
    levels: &Levels,
    problems: &mut Vec<Problem>,
) -> Vec<Tenant> {
    let top = FieldPath::default().key("tenants");
    if definitions.len() > MAX_TENANTS {
        let fault = Fault::TooManyTenants { found: definitions.len(), most: MAX_TENANTS };
        problems.push(Problem::new(top.clone(), fault));
    }
    let exceptions = definitions.iter().map(|definition| definition.exceptions.len()).sum();
    if exceptions > MAX_EXCEPTIONS {
        let fault = Fault::TooManyExceptions { found: exceptions, most: MAX_EXCEPTIONS };
        problems.push(Problem::new(top.clone(), fault));
    }
    let mut seen = Seen::default();
    definitions
        .iter()
        .enumerate()
        .filter_map(|(index, definition)| {
            tenant(definition, &top.index(index), levels, &mut seen, problems)
        })
        .collect()
}

/// What tenants further up have taken, and where.
#[derive(Default)]
struct Seen<'a> {
    names: HashMap<&'a str, FieldPath>,
    namespaces: HashMap<NamespaceClaim, FieldPath>,
    cgroups: HashMap<CgroupClaim, FieldPath>,
}

fn tenant<'a>(
    definition: &'a TenantDefinition,
    path: &FieldPath,
    levels: &Levels,
    seen: &mut Seen<'a>,
    problems: &mut Vec<Problem>,
) -> Option<Tenant> {
    check_name(&definition.name, path, seen, problems);
    if definition.namespaces.is_empty() && definition.cgroups.is_empty() {
        let fault = Fault::EmptyTenant(definition.name.clone());
        problems.push(Problem::new(path.clone(), fault));
    }
    let namespaces = namespaces(definition, path, seen, problems);
    let cgroups = cgroups(definition, path, seen, problems);
    let changes = Changes {
        rules: &definition.rules,
        capabilities: &definition.capabilities,
        controls: &definition.controls,
        limits: &definition.limits,
        on_error: definition.on_error,
    };
    let own = Level::check(changes);
    problems.extend(own.into_iter().map(|problem| inside(path, problem)));
    let limits = TenantLimits::read(&definition.tenant_limits).unwrap_or_else(|more| {
        problems.extend(more.into_iter().map(|problem| inside(path, problem)));
        TenantLimits::default()
    });
    let exceptions = exceptions::resolve(&definition.exceptions, path, problems);
    let level = levels.find(&definition.level, path.key("level"), problems)?;
    let level = level.refined(&definition.level, changes).ok()?;
    Some(Tenant { name: definition.name.clone(), level, namespaces, cgroups, limits, exceptions })
}

fn check_name<'a>(
    name: &'a str,
    path: &FieldPath,
    seen: &mut Seen<'a>,
    problems: &mut Vec<Problem>,
) {
    let fault = if !is_label(name) {
        Fault::BadName(name.to_owned())
    } else if RESERVED.contains(&name) {
        Fault::ReservedName(name.to_owned())
    } else if let Some(first) = seen.names.get(name) {
        Fault::DuplicateName { what: "tenant", name: name.to_owned(), first: first.clone() }
    } else {
        seen.names.insert(name, path.clone());
        return;
    };
    problems.push(Problem::new(path.key("name"), fault));
}

fn namespaces(
    definition: &TenantDefinition,
    path: &FieldPath,
    seen: &mut Seen<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<NamespaceClaim> {
    let mut claims = Vec::new();
    for (index, text) in definition.namespaces.iter().enumerate() {
        let path = path.key("namespaces").index(index);
        let fault = match NamespaceClaim::parse(text) {
            None => Fault::BadNamespace(text.clone()),
            Some(claim) => match seen.namespaces.get(&claim) {
                Some(first) => Fault::ClaimedTwice {
                    what: "namespace",
                    pattern: text.clone(),
                    first: first.clone(),
                },
                None => {
                    seen.namespaces.insert(claim.clone(), path);
                    claims.push(claim);
                    continue;
                }
            },
        };
        problems.push(Problem::new(path, fault));
    }
    claims
}

fn cgroups(
    definition: &TenantDefinition,
    path: &FieldPath,
    seen: &mut Seen<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<CgroupClaim> {
    let mut claims = Vec::new();
    for (index, text) in definition.cgroups.iter().enumerate() {
        let path = path.key("cgroups").index(index);
        let fault = match CgroupClaim::parse(text) {
            Err(why) => Fault::BadCgroup { path: text.clone(), why },
            Ok(claim) => match seen.cgroups.get(&claim) {
                Some(first) => Fault::ClaimedTwice {
                    what: "cgroup",
                    pattern: text.clone(),
                    first: first.clone(),
                },
                None => {
                    seen.cgroups.insert(claim.clone(), path);
                    claims.push(claim);
                    continue;
                }
            },
        };
        problems.push(Problem::new(path, fault));
    }
    claims
}
