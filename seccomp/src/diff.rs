//! What one profile allows that another does not.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    bpf::FilterError,
    calls::{self, Arch},
    probe,
    profile::Action,
    simulate::Simulation,
};

/// The most examples of arguments that one difference carries.
const MAX_EXAMPLES: usize = 8;

/// A call that one profile allows and the other does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The call; empty where it is all calls of an architecture.
    pub call: String,
    /// On these architectures.
    pub architectures: Vec<Arch>,
    /// Arguments for which it is so; none: for all arguments.
    pub examples: Vec<Example>,
    /// Whether more arguments than the examples were found.
    pub more: bool,
    /// What the one does.
    pub this: String,
    /// What the other does.
    pub other: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let architectures: Vec<_> = self.architectures.iter().map(|arch| arch.as_str()).collect();
        let architectures = architectures.join(", ");
        if self.call.is_empty() {
            return write!(f, "every call of {architectures}");
        }
        write!(f, "{}", self.call)?;
        if !self.examples.is_empty() {
            let examples: Vec<_> = self.examples.iter().map(Example::to_string).collect();
            let more = if self.more { ", ..." } else { "" };
            write!(f, " ({}{more})", examples.join(", "))?;
        }
        write!(f, " on {architectures}")
    }
}

/// Arguments of a call: those that a condition of either profile looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example(pub BTreeMap<usize, u64>);

impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> =
            self.0.iter().map(|(index, value)| format!("a{index}={value:#x}")).collect();
        f.write_str(&words.join(" "))
    }
}

/// What `this` allows that `other` does not, by call and argument. What somebody else decides (a
/// listener, a tracer) counts as allowed in `this`, unless the other asks it too.
pub fn allowed_beyond(
    this: &Simulation,
    other: &Simulation,
) -> Result<Vec<Difference>, FilterError> {
    let mut differences = Vec::new();
    for arch in Arch::ALL.into_iter().filter(|arch| this.covers(*arch)) {
        if !other.covers(arch) {
            differences.push(whole_architecture(arch));
            continue;
        }
        for (name, _) in calls::all(arch) {
            let Some(found) = of_call(this, other, arch, name)? else { continue };
            match differences.iter_mut().find(|known| is_same_elsewhere(known, &found)) {
                Some(known) => known.architectures.push(arch),
                None => differences.push(found),
            }
        }
    }
    Ok(differences)
}

/// Whether everything that `own` allows is allowed by `level`.
pub fn tightens(level: &Simulation, own: &Simulation) -> Result<bool, FilterError> {
    allowed_beyond(own, level).map(|beyond| beyond.is_empty())
}

fn is_same_elsewhere(known: &Difference, found: &Difference) -> bool {
    known.call == found.call
        && known.examples == found.examples
        && known.this == found.this
        && known.other == found.other
}

fn whole_architecture(arch: Arch) -> Difference {
    Difference {
        call: String::new(),
        architectures: vec![arch],
        examples: Vec::new(),
        more: false,
        this: "answers its calls".to_owned(),
        other: "kills its programs".to_owned(),
    }
}

fn of_call(
    this: &Simulation,
    other: &Simulation,
    arch: Arch,
    name: &str,
) -> Result<Option<Difference>, FilterError> {
    let questions = probe::questions(&[this.profile(), other.profile()], name);
    let mut examples = Vec::new();
    let mut first: Option<(Action, Action)> = None;
    let (mut beyond, mut asked) = (0, 0);
    for arguments in &questions.arguments {
        let (Some(left), Some(right)) =
            (this.ask(arch, name, *arguments)?, other.ask(arch, name, *arguments)?)
        else {
            return Ok(None);
        };
        asked += 1;
        let (left, right) = (left.most(), right.most());
        if !left.may_execute() || right.executes() || left == right {
            continue;
        }
        beyond += 1;
        first.get_or_insert((left, right));
        let compared = |index: &usize| Some((*index, *arguments.get(*index)?));
        if examples.len() < MAX_EXAMPLES {
            examples.push(Example(questions.compared.iter().filter_map(compared).collect()));
        }
    }
    let Some((left, right)) = first else { return Ok(None) };
    let always = beyond == asked && questions.complete;
    Ok(Some(Difference {
        call: name.to_owned(),
        architectures: vec![arch],
        more: !always && beyond > examples.len(),
        examples: if always { Vec::new() } else { examples },
        this: left.to_string(),
        other: right.to_string(),
    }))
}
