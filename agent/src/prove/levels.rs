//! Which levels are proven: the built-in ones, a configuration's, or tenants' own.

use std::fs;

use anyhow::Context;
use bulkhead_abi::{LevelTable, Relation, Rule};
use bulkhead_policy::{Policy, configuration};

use super::Options;

/// A level to prove.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub(crate) name: String,
    pub(crate) table: LevelTable,
}

/// The level that `--quick` proves.
const QUICK_LEVEL: &str = "untrusted";

/// The levels that `options` ask for.
///
/// # Errors
/// When the configuration cannot be read or is faulty, or has no such level or tenant.
pub(crate) fn asked_for(options: &Options) -> anyhow::Result<Vec<Level>> {
    let settings = match &options.config {
        None => configuration::defaults()?,
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            configuration::read(&path.display().to_string(), &text)?
        }
    };
    let policy = &settings.policy;
    let mut levels = options
        .levels
        .iter()
        .map(|name| level(policy, name))
        .chain(options.tenants.iter().map(|name| tenant(policy, name)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if levels.is_empty() && options.quick {
        levels.push(level(policy, QUICK_LEVEL)?);
    } else if levels.is_empty() {
        levels.extend(policy.levels().iter().map(of));
        levels.sort_by_key(|level| refusals(&level.table));
    }
    Ok(levels)
}

/// The strictest built-in level as it comes.
pub(crate) fn strictest() -> anyhow::Result<LevelTable> {
    Ok(level(&configuration::defaults()?.policy, QUICK_LEVEL)?.table)
}

/// How much a level refuses: the mildest is shown first.
fn refusals(table: &LevelTable) -> usize {
    let cells = Rule::ALL.iter().flat_map(|rule| Relation::ALL.iter().map(move |to| (*rule, *to)));
    cells.filter(|(rule, relation)| table.verdict(*rule, *relation).refuses()).count()
}

fn of(level: &bulkhead_policy::Level) -> Level {
    Level { name: level.name().to_owned(), table: level.table() }
}

fn level(policy: &Policy, name: &str) -> anyhow::Result<Level> {
    policy.levels().iter().find(|level| level.name() == name).map(of).with_context(|| {
        let known: Vec<_> = policy.levels().iter().map(bulkhead_policy::Level::name).collect();
        format!("no level is called {name:?}; there are {}", known.join(", "))
    })
}

/// A tenant's level with the tenant's own changes.
fn tenant(policy: &Policy, name: &str) -> anyhow::Result<Level> {
    let tenant = policy.tenant(name).with_context(|| format!("no tenant is called {name:?}"))?;
    let Level { name: level, table } = of(tenant.level());
    Ok(Level { name: format!("{level} of tenant {name}"), table })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(options: &Options) -> Vec<String> {
        asked_for(options).unwrap().into_iter().map(|level| level.name).collect()
    }

    #[test]
    fn all_levels_are_proven_and_one_when_it_has_to_be_quick() {
        assert_eq!(names(&Options::default()), ["trusted", "semi-trusted", "untrusted"]);
        assert_eq!(names(&Options { quick: true, ..Options::default() }), ["untrusted"]);
        let both = Options { quick: true, levels: vec!["trusted".into()], ..Options::default() };
        assert_eq!(names(&both), ["trusted"]);
    }

    #[test]
    fn a_tenant_is_proven_with_its_own_changes() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "tenants:\n  - name: shop\n    level: untrusted\n    namespaces: [shop]\n    \
                    rules: { BH-MNT-008: audit }\n";
        file.write_all(text.as_bytes()).unwrap();
        let options = Options {
            config: Some(file.path().to_owned()),
            tenants: vec!["shop".into()],
            ..Options::default()
        };
        let levels = asked_for(&options).unwrap();
        let [shop] = levels.as_slice() else { panic!("{levels:?}") };
        assert_eq!(shop.name, "untrusted of tenant shop");
        let verdict = shop.table.verdict(Rule::Chroot, Relation::None);
        assert_eq!(verdict, bulkhead_abi::Verdict::Audit);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let level = Options { levels: vec!["mild".into()], ..Options::default() };
        let told = format!("{:#}", asked_for(&level).unwrap_err());
        assert!(told.contains("mild") && told.contains("semi-trusted"), "{told}");
        let tenant = Options { tenants: vec!["nobody".into()], ..Options::default() };
        assert!(format!("{:#}", asked_for(&tenant).unwrap_err()).contains("nobody"));
        let config = Options { config: Some("/no/such/file".into()), ..Options::default() };
        assert!(format!("{:#}", asked_for(&config).unwrap_err()).contains("/no/such/file"));
    }
}
