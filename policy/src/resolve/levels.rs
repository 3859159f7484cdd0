//! The built-in levels and the operator's own.

use std::collections::BTreeMap;

use super::{inside, is_label};
use crate::{
    configuration::{Fault, FieldPath, LevelDefinition, Problem, nearest},
    level::{self, Level},
};

/// Levels by name. `None` is a level whose definition is faulty: known, and not to be reported
/// again where it is used.
#[derive(Debug, Default)]
pub(super) struct Levels(BTreeMap<String, Option<Level>>);

impl Levels {
    pub(super) fn resolve(definitions: &[LevelDefinition], problems: &mut Vec<Problem>) -> Self {
        let mut levels = Self::default();
        match level::built_in() {
            Ok(built_in) => {
                levels.0.extend(built_in.into_iter().map(|l| (l.name().to_owned(), Some(l))));
            }
            Err(refused) => {
                let fault = Fault::Unreadable(refused.to_string());
                problems.push(Problem::new(FieldPath::default(), fault));
            }
        }
        let mut left = named(definitions, problems);
        for definition in left.values() {
            // Known from the start, so that an unknown base is told from one defined further down.
            levels.0.insert(definition.1.name.clone(), None);
        }
        // Each round takes those whose base is ready. What no round takes is a ring.
        while let Some(name) = left
            .iter()
            .find(|(_, (_, definition))| !left.contains_key(definition.extends.as_str()))
            .map(|(name, _)| *name)
        {
            if let Some((path, definition)) = left.remove(name) {
                let extends = path.key("extends");
                let base = levels.find(&definition.extends, extends, problems);
                // What is wrong with the definition itself has been noted.
                let level =
                    base.and_then(|base| base.refined(&definition.name, definition.into()).ok());
                levels.0.insert(name.to_owned(), level);
            }
        }
        report_rings(&left, problems);
        levels
    }

    /// The level called `name`, which `path` asks for. `None` has been noted.
    pub(super) fn find(
        &self,
        name: &str,
        path: FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Option<&Level> {
        let Some(level) = self.0.get(name) else {
            let fault = Fault::UnknownLevel {
                found: name.to_owned(),
                instead: nearest(name, self.0.keys().map(String::as_str)).map(str::to_owned),
                known: self.0.keys().cloned().collect(),
            };
            problems.push(Problem::new(path, fault));
            return None;
        };
        level.as_ref()
    }

    pub(super) fn into_vec(self) -> Vec<Level> {
        self.0.into_values().flatten().collect()
    }
}

type Named<'a> = BTreeMap<&'a str, (FieldPath, &'a LevelDefinition)>;

/// The definitions by name, without those whose names will not do. Notes what is wrong with each
/// by itself.
fn named<'a>(definitions: &'a [LevelDefinition], problems: &mut Vec<Problem>) -> Named<'a> {
    let mut named = Named::new();
    for (index, definition) in definitions.iter().enumerate() {
        let path = FieldPath::default().key("levels").index(index);
        let own = Level::check(definition.into());
        problems.extend(own.into_iter().map(|problem| inside(&path, problem)));
        let name = definition.name.as_str();
        let fault = if !is_label(name) {
            Fault::BadName(name.to_owned())
        } else if level::is_built_in(name) {
            Fault::BuiltInLevel(name.to_owned())
        } else if let Some((first, _)) = named.get(name) {
            Fault::DuplicateName { what: "level", name: name.to_owned(), first: first.clone() }
        } else {
            named.insert(name, (path, definition));
            continue;
        };
        problems.push(Problem::new(path.key("name"), fault));
    }
    named
}

/// Notes each ring once, at its first definition. A level that merely extends one of a ring is not
/// at fault itself.
fn report_rings(left: &Named<'_>, problems: &mut Vec<Problem>) {
    let mut reported: Vec<&str> = Vec::new();
    for &start in left.keys() {
        let mut way = vec![start];
        let mut at = start;
        while let Some((_, definition)) = left.get(at) {
            at = definition.extends.as_str();
            if way.contains(&at) {
                break;
            }
            way.push(at);
        }
        if at != start || reported.contains(&start) {
            continue;
        }
        reported.extend(&way);
        way.push(start);
        if let Some((path, _)) = left.get(start) {
            let fault = Fault::LevelCycle(way.join(" -> "));
            problems.push(Problem::new(path.key("extends"), fault));
        }
    }
}
