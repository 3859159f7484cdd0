//! One behaviour, in one relation, at one level: from the child's start to the finding.

use std::{
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::Child,
    time::Duration,
};

use bulkhead_abi::{CANARY_SLOT, LevelTable, Relation, Rung, Verdict};

use super::{
    actor::Line,
    behaviour::Behaviour,
    cgroup::Cgroup,
    child::{self, End},
    engine::{Engine, Sighting},
    module,
    outcome::{self, Act, Finding, Outcome},
    promise::{self, Promise},
    prop::{self, Prop},
    stage::Stage,
    sys,
};

/// A finding with the promise it is held against.
pub(crate) struct Trial {
    pub(crate) behaviour: &'static Behaviour,
    pub(crate) relation: Relation,
    pub(crate) verdict: Verdict,
    pub(crate) rung: Rung,
    pub(crate) promise: Promise,
    pub(crate) finding: Finding,
}

impl Trial {
    pub(crate) fn keeps_promise(&self) -> bool {
        self.finding.outcome.keeps(self.promise, self.verdict)
    }

    /// Whether a node that can refuse in the kernel would promise more.
    pub(crate) fn lowered(&self) -> bool {
        self.promise != Promise::of(self.verdict, Rung::Lsm)
    }
}

/// How trials are run.
pub(crate) struct Bench<'a> {
    pub(crate) stage: Stage,
    pub(crate) engine: &'a mut dyn Engine,
    pub(crate) wake: Option<OwnedFd>,
    /// How long one act may take.
    pub(crate) patience: Duration,
    /// Acts may make the kernel load modules.
    pub(crate) load_modules: bool,
}

/// A signal asked `prove` to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

impl Bench<'_> {
    /// Tries `behaviour` at the level of this table.
    pub(crate) fn try_one(
        &mut self,
        behaviour: &'static Behaviour,
        relation: Relation,
        level: &LevelTable,
    ) -> anyhow::Result<Trial> {
        let table = promise::table_for(behaviour, level);
        self.engine.set_level(CANARY_SLOT, &table)?;
        let verdict = promise::verdict(behaviour, relation, &table);
        let rung = self.engine.rung(behaviour.rule);
        let promise = Promise::of_rule(behaviour.rule, verdict, rung);
        let mut finding = self.find(behaviour, relation, promise)?;
        if outcome::needs_comparison(&finding) && !matches!(finding.outcome, Outcome::Unavailable) {
            let (act, _) = self.perform(behaviour, relation, Promise::Allowed, false)?;
            outcome::compare(&mut finding, &act);
        }
        if sys::interrupted() {
            return Err(Interrupted.into());
        }
        if let Some(harmed) = self.stage.harmed()? {
            anyhow::bail!("{} ended its target, process {}", behaviour.name, harmed.pid);
        }
        Ok(Trial { behaviour, relation, verdict, rung, promise, finding })
    }

    fn find(
        &mut self,
        behaviour: &Behaviour,
        relation: Relation,
        promise: Promise,
    ) -> anyhow::Result<Finding> {
        let lost_before = self.engine.lost()?;
        let (act, sightings) = self.perform(behaviour, relation, promise, true)?;
        let seen = outcome::of_act(&act, self.stage.actor().id(), &sightings);
        let mut finding = outcome::find(behaviour, relation, promise, &act, &seen);
        let lost = self.engine.lost()?.saturating_sub(lost_before);
        if finding.outcome == Outcome::Missed && lost > 0 {
            finding.detail.push_str(&format!("; {lost} records were lost meanwhile"));
        }
        Ok(finding)
    }

    /// Runs the act, in the guarded container or outside, and collects what the guard says.
    fn perform(
        &mut self,
        behaviour: &Behaviour,
        relation: Relation,
        promise: Promise,
        guarded: bool,
    ) -> anyhow::Result<(Act, Vec<Sighting>)> {
        if let Some(reason) = self.hindrance(behaviour, promise) {
            return Ok((Act::Unavailable(reason), Vec::new()));
        }
        self.engine.forget_acts()?;
        let steps = prop::steps(behaviour.props, self.stage.scratch())?;
        let scene = self.stage.scene(relation);
        let cgroup: &Cgroup = if guarded { self.stage.actor() } else { self.stage.outside() };
        let line = self.stage.line(relation)?;
        let mut child =
            match child::start(behaviour.name, &scene, Some(cgroup.procs()), steps, line) {
                Ok(child) => child,
                Err(error) => return Ok((not_staged(behaviour, &error), Vec::new())),
            };
        let mut sightings = Vec::new();
        let engine = &mut *self.engine;
        let act = listen(&mut child, self.patience, self.wake.as_ref(), || {
            sightings.extend(engine.drain()?);
            Ok(())
        })?;
        sightings.extend(self.engine.drain()?);
        Ok((act, sightings))
    }

    /// Why the behaviour cannot be tried on this node.
    fn hindrance(&self, behaviour: &Behaviour, promise: Promise) -> Option<String> {
        // Where the guard will refuse the act, the kernel never comes to loading anything.
        let would_load = || {
            let alias = behaviour.module.filter(|_| promise != Promise::Blocked)?;
            let reason = module::would_load(alias)?;
            Some(format!("{reason} (--load-modules allows it)"))
        };
        let missing = behaviour.props.iter().find_map(prop::missing);
        missing.or_else(|| if self.load_modules { None } else { would_load() })
    }
}

/// A set-up that failed is the node's doing where it had something to set up.
fn not_staged(behaviour: &Behaviour, error: &anyhow::Error) -> Act {
    let reason = format!("{error:#}");
    let own_props =
        behaviour.props.iter().any(|prop| !matches!(prop, Prop::Dir(_) | Prop::Tmpfs(_)));
    if own_props { Act::Unavailable(reason) } else { Act::Broken(reason) }
}

/// Follows an actor to its end, and says what became of its act. What goes wrong meanwhile ends it.
pub(super) fn listen(
    child: &mut Child,
    patience: Duration,
    wake: Option<&OwnedFd>,
    meanwhile: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Act> {
    match child::follow(child, patience, wake, meanwhile) {
        Ok((lines, end)) => Ok(act_of(&lines, &end, &child::complaint(child))?),
        Err(error) => {
            child::end(child)?;
            Err(error)
        }
    }
}

fn act_of(lines: &[Line], end: &End, complaint: &str) -> Result<Act, Interrupted> {
    let before = lines.iter().find_map(|line| match line {
        Line::Before { time } => Some(*time),
        _ => None,
    });
    Ok(match (lines.last(), end, before) {
        (_, End::Interrupted, _) => return Err(Interrupted),
        (_, End::Late, _) => Act::Broken("it hung and was ended".into()),
        (Some(Line::After { time, errno }), _, Some(before)) => {
            Act::Done { before, after: *time, errno: *errno }
        }
        (Some(Line::Unavailable { reason }), ..) => Act::Unavailable(reason.clone()),
        (_, End::Exited(status), Some(before)) if status.signal() == Some(9) => {
            Act::Killed { before }
        }
        (_, End::Exited(status), _) => Act::Broken(format!("the actor ended: {status}{complaint}")),
    })
}
