//! Levels: how much a container may do to whom.

use std::collections::BTreeMap;

use bulkhead_abi::{LevelTable, Relation, Rule, Verdict};

use crate::{
    capability::{self, Capabilities},
    catalogue::{self, RuleInfo, Severity, Target},
    configuration::{
        CapabilityLimits, Ceiling, Fault, FieldPath, LevelDefinition, Problem, Refused,
        RelationVerdicts, RuleVerdict, nearest, read_definition,
    },
    controls::{ControlChanges, Controls},
    limits::{Limits, LimitsDefinition, OnError},
};

/// The built-in levels, from the mildest to the strictest: name and definition. They are read by
/// the code that reads an operator's own.
const BUILT_IN: [(&str, &str); 3] = [
    ("trusted", include_str!("../../profiles/levels/trusted.yaml")),
    ("semi-trusted", include_str!("../../profiles/levels/semi-trusted.yaml")),
    ("untrusted", include_str!("../../profiles/levels/untrusted.yaml")),
];

/// Whether `name` is that of a built-in level.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(known, _)| *known == name)
}

/// The three built-in levels.
///
/// # Errors
/// When an embedded definition is malformed, which a test rules out.
pub fn built_in() -> Result<Vec<Level>, Refused> {
    BUILT_IN
        .iter()
        .map(|(name, text)| {
            let file = format!("profiles/levels/{name}.yaml (built in)");
            read_definition(&file, text, |definition: &LevelDefinition| {
                Level::nothing().refined(&definition.name, definition.into())
            })
        })
        .collect()
}

/// Verdicts by rule and relation, and a capability ceiling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    name: String,
    base: String,
    verdicts: BTreeMap<(Rule, Relation), Verdict>,
    ceiling: Capabilities,
    controls: Controls,
    limits: Limits,
    on_error: OnError,
}

/// What a definition changes in a level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changes<'a> {
    pub(crate) rules: &'a BTreeMap<String, RuleVerdict>,
    pub(crate) capabilities: &'a CapabilityLimits,
    pub(crate) controls: &'a ControlChanges,
    pub(crate) limits: &'a LimitsDefinition,
    pub(crate) on_error: Option<OnError>,
}

impl<'a> From<&'a LevelDefinition> for Changes<'a> {
    fn from(definition: &'a LevelDefinition) -> Self {
        Self {
            rules: &definition.rules,
            capabilities: &definition.capabilities,
            controls: &definition.controls,
            limits: &definition.limits,
            on_error: definition.on_error,
        }
    }
}

impl Level {
    /// No rule, no ceiling: what the built-in levels are built upon.
    fn nothing() -> Self {
        Self {
            name: String::new(),
            base: String::new(),
            verdicts: BTreeMap::new(),
            ceiling: Capabilities::ALL,
            controls: Controls::default(),
            limits: Limits::default(),
            on_error: OnError::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The built-in level that it began as, or is: what comes in three, as the AppArmor profiles
    /// do, goes by it.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The verdict of `rule` towards a target in `relation`; off where the two do not go together.
    pub fn verdict(&self, rule: Rule, relation: Relation) -> Verdict {
        self.verdicts.get(&(rule, relation)).copied().unwrap_or(Verdict::Off)
    }

    /// The capabilities that may be used.
    pub fn ceiling(&self) -> Capabilities {
        self.ceiling
    }

    /// What a container must have been given.
    pub fn controls(&self) -> Controls {
        self.controls
    }

    /// How much a container may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What happens to a container that cannot be given what the level asks for.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Whether any act is refused at this level.
    pub fn refuses_anything(&self) -> bool {
        self.verdicts.iter().any(|((rule, _), verdict)| {
            verdict.refuses()
                && (*rule != Rule::CapabilityCeiling || self.ceiling != Capabilities::ALL)
        })
    }

    /// The level as the kernel side reads it.
    ///
    /// A rule without a target gives its one verdict in every column, and a target whose owner
    /// cannot be told counts as a stranger, so that no column reads as off by oversight. Only what
    /// a process rule says of the container itself is off.
    ///
    /// Refusals of rules of severity high and critical are critical acts: their records take the ring
    /// that nothing else can fill.
    pub fn table(&self) -> LevelTable {
        let mut table = LevelTable { ceiling: self.ceiling.bits(), ..LevelTable::OFF };
        for row in catalogue::ALL {
            if row.severity >= Severity::High {
                table.set_critical(row.rule);
            }
            for &relation in Relation::ALL {
                let asked = match (row.target, relation) {
                    (Target::Nothing, _) => Relation::None,
                    (Target::Process, Relation::None) => Relation::CrossTenant,
                    (Target::Process, relation) => relation,
                };
                table.set(row.rule, relation, self.verdict(row.rule, asked));
            }
        }
        table
    }

    /// This level with `changes`, under another name; or everything wrong with them, as paths
    /// inside the definition.
    pub(crate) fn refined(&self, name: &str, changes: Changes<'_>) -> Result<Self, Vec<Problem>> {
        let base = if is_built_in(name) { name } else { &self.base };
        let mut level = Self { name: name.to_owned(), base: base.to_owned(), ..self.clone() };
        let mut problems = Vec::new();
        let rules = FieldPath::default().key("rules");
        for (id, verdict) in changes.rules {
            if let Err(problem) = level.change_rule(id, verdict, &rules.key(id)) {
                problems.push(problem);
            }
        }
        if let Some(ceiling) = &changes.capabilities.ceiling {
            let path = FieldPath::default().key("capabilities").key("ceiling");
            match read_ceiling(ceiling, &path) {
                Ok(ceiling) => level.ceiling = ceiling,
                Err(more) => problems.extend(more),
            }
        }
        level.controls = level.controls.refined(changes.controls);
        level.on_error = changes.on_error.unwrap_or(level.on_error);
        match level.limits.refined(changes.limits) {
            Ok(limits) => level.limits = limits,
            Err(more) => problems.extend(more),
        }
        if problems.is_empty() { Ok(level) } else { Err(problems) }
    }

    /// What is wrong with `changes`, whatever level they are made to.
    pub(crate) fn check(changes: Changes<'_>) -> Vec<Problem> {
        Self::nothing().refined("", changes).err().unwrap_or_default()
    }

    fn change_rule(
        &mut self,
        id: &str,
        verdict: &RuleVerdict,
        path: &FieldPath,
    ) -> Result<(), Problem> {
        let row = catalogue::by_id(id).ok_or_else(|| unknown_rule(id, path))?;
        match verdict {
            RuleVerdict::Every(word) => {
                for &relation in row.target.relations() {
                    self.verdicts.insert((row.rule, relation), (*word).into());
                }
            }
            RuleVerdict::ByRelation(by_relation) => {
                self.change_relations(row, by_relation, path)?
            }
        }
        Ok(())
    }

    fn change_relations(
        &mut self,
        row: &'static RuleInfo,
        words: &RelationVerdicts,
        path: &FieldPath,
    ) -> Result<(), Problem> {
        if row.target == Target::Nothing {
            return Err(Problem::new(path.clone(), Fault::NoRelations(row.id)));
        }
        if words.own.is_some() {
            return Err(Problem::new(path.key("self"), Fault::SelfRelation));
        }
        for (relation, word) in [
            (Relation::Pod, words.pod),
            (Relation::Tenant, words.tenant),
            (Relation::CrossTenant, words.cross_tenant),
            (Relation::Host, words.host),
        ] {
            if let Some(word) = word {
                self.verdicts.insert((row.rule, relation), word.into());
            }
        }
        Ok(())
    }
}

pub(crate) fn unknown_rule(id: &str, path: &FieldPath) -> Problem {
    let instead = nearest(id, catalogue::ALL.iter().map(|row| row.id)).map(str::to_owned);
    Problem::new(path.clone(), Fault::UnknownRule { found: id.to_owned(), instead })
}

fn read_ceiling(ceiling: &Ceiling, path: &FieldPath) -> Result<Capabilities, Vec<Problem>> {
    let Ceiling::These(names) = ceiling else { return Ok(Capabilities::ALL) };
    let mut set = Capabilities::NONE;
    let mut problems = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match capability::number(name) {
            Some(number) => set = set.with(number),
            None => problems.push(unknown_capability(name, path.index(index))),
        }
    }
    if problems.is_empty() { Ok(set) } else { Err(problems) }
}

fn unknown_capability(name: &str, path: FieldPath) -> Problem {
    let upper = name.to_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let instead = nearest(bare, capability::NAMES).map(str::to_owned);
    Problem::new(path, Fault::UnknownCapability { found: name.to_owned(), instead })
}

/// The strictest of several tables: of every pair of verdicts the harder, of the ceilings what all
/// allow. For a container that nobody has named yet, which may turn out to be any tenant's.
pub fn strictest(tables: impl IntoIterator<Item = LevelTable>) -> LevelTable {
    tables.into_iter().fold(LevelTable::OFF, |mut strict, table| {
        for &rule in Rule::ALL {
            for &relation in Relation::ALL {
                let harder = strict.verdict(rule, relation).max(table.verdict(rule, relation));
                strict.set(rule, relation, harder);
            }
        }
        strict.ceiling &= table.ceiling;
        for (strict, bits) in strict.critical.iter_mut().zip(table.critical) {
            *strict |= bits;
        }
        strict
    })
}

#[cfg(test)]
mod tests;
