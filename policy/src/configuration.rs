//! The configuration: one YAML file, read strictly. Every fault in it is reported at once, with
//! its line, its column, its key and what to write instead.
//!
//! A file goes through two readings. The first turns text into a [`Configuration`]: known keys and
//! types. The second, [`Policy::resolve`], gives it meaning: rules, levels and tenants that exist.

mod document;
mod exceptions;
mod nearest;
mod node;
mod problem;
mod schema;
mod shape;

use std::fmt;

use serde::Deserialize;

pub use document::{
    AllCapabilities, Canary, CapabilityLimits, Ceiling, Configuration, Evidence, LevelDefinition,
    Metrics, Nri, Profiles, RelationVerdicts, Response, RuleVerdict, TenantDefinition, VerdictWord,
};
pub use exceptions::{
    AllRelations, ExceptedRule, ExceptionDefinition, RelationWord, WorkloadDefinition,
};
pub(crate) use nearest::nearest;
use node::Node;
pub use node::Place;
pub use problem::{Fault, FieldPath, Problem, Step};
pub use schema::schema;

use crate::Policy;

/// A configuration as written and what it means.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file's values, with defaults where it says nothing.
    pub configuration: Configuration,
    /// The levels and tenants.
    pub policy: Policy,
}

/// Reads the text of a configuration file. `file` is its name, for the messages.
///
/// # Errors
/// When anything in it is wrong. Nothing of a faulty file is used.
pub fn read(file: &str, text: &str) -> Result<Settings, Refused> {
    read_document(file, text, |configuration: &Configuration| Policy::resolve(configuration))
        .map(|(configuration, policy)| Settings { configuration, policy })
}

/// What holds where there is no file.
///
/// # Errors
/// When an embedded level is malformed, which a test rules out.
pub fn defaults() -> Result<Settings, Refused> {
    read("the built-in configuration", "")
}

/// Reads one level's definition.
pub(crate) fn read_definition<M>(
    file: &str,
    text: &str,
    meaning: impl FnOnce(&LevelDefinition) -> Result<M, Vec<Problem>>,
) -> Result<M, Refused> {
    read_document(file, text, |definition: &Option<LevelDefinition>| {
        let missing = || vec![Problem::new(FieldPath::default(), Fault::MissingKey("name".into()))];
        definition.as_ref().ok_or_else(missing).and_then(meaning)
    })
    .map(|(_, meaning)| meaning)
}

fn read_document<T, M>(
    file: &str,
    text: &str,
    meaning: impl FnOnce(&T) -> Result<M, Vec<Problem>>,
) -> Result<(T, M), Refused>
where
    T: Default + for<'de> Deserialize<'de>,
{
    let (mut root, mut found) =
        Node::parse(text).map_err(|problem| Refused::new(file, vec![problem]))?;
    let document: T = shape::read(&mut root, &mut found);
    let meaning = meaning(&document);
    match meaning {
        Ok(meaning) if found.is_empty() => return Ok((document, meaning)),
        Ok(_) => {}
        Err(problems) => add_located(&root, problems, &mut found),
    }
    Err(Refused::new(file, found))
}

/// Adds the faults of the second reading to those of the first, except those that the first may
/// have brought about by passing by what it could not read.
fn add_located(root: &Node, problems: Vec<Problem>, found: &mut Vec<(Place, Problem)>) {
    /// A tenant or level: `tenants[0]`.
    const ELEMENT: usize = 2;
    let of_shape: Vec<FieldPath> = found.iter().map(|(_, problem)| problem.path.clone()).collect();
    for problem in problems {
        let path = root.path_in_file(&problem.path);
        let within = |steps: usize| {
            let of_path = path.steps().iter().take(steps);
            of_shape.iter().any(|wrong| wrong.steps().iter().take(steps).eq(of_path.clone()))
        };
        let follows = match &problem.fault {
            Fault::EmptyTenant(_) => within(ELEMENT),
            Fault::UnknownLevel { .. } => {
                let levels = Step::Key("levels".to_owned());
                of_shape.iter().any(|wrong| wrong.steps().first() == Some(&levels))
            }
            _ => false,
        };
        if !follows {
            found.push((root.place_of(path.steps()), Problem { path, ..problem }));
        }
    }
}

/// A file that was not taken, and all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    file: String,
    problems: Vec<(Place, Problem)>,
}

impl Refused {
    fn new(file: &str, mut problems: Vec<(Place, Problem)>) -> Self {
        problems.sort_by_key(|(place, _)| (place.line, place.column));
        Self { file: file.to_owned(), problems }
    }

    /// Each fault with its place, from the top of the file down.
    pub fn problems(&self) -> &[(Place, Problem)] {
        &self.problems
    }
}

/// One line a fault: `file:line:column: path: what is wrong; what to write instead`.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (place, problem)) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.file)?;
            if place.is_known() {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            write!(f, ": {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
