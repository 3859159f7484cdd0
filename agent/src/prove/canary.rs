//! The canary: a few behaviours of `prove`, tried now and then in the running agent's own kernel
//! side. Whoever unloads, breaks or blinds the guard has to get past it.
//!
//! ```text
//! due        a throw-away cgroup is made and named, an act starts in it on a thread of its own
//! saw        its records come through the agent's own rings, as a tenant's would
//! landed     the act has ended, and its records had time to arrive: seen, missed, or not tried
//! ```
//!
//! Its tenant number is no configuration's, so that nothing of it is counted with a tenant's acts.

use std::{
    fmt,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use bulkhead_abi::{ActKey, CANARY_SLOT, CANARY_TENANT, Effect, LevelTable, Relation, Rule};

use super::{
    actor::Scene,
    acts,
    behaviour::{Behaviour, Target},
    cgroup::{self, Cgroup},
    child,
    outcome::Act,
    promise::{self, Promise},
    stage, trial,
};
use crate::kernel::Guard;

/// Acts that need no stage: kernel files, user namespaces, BPF, sockets.
pub(crate) const BEHAVIOURS: [&str; 4] = ["core-pattern", "unshare-user", "bpf-map", "socket-raw"];

/// How long one act may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A record may come so much later than its act's end.
const GRACE: Duration = Duration::from_secs(2);
/// The first round waits until what starts with the node has started.
const FIRST: Duration = Duration::from_secs(20);

/// What came of one act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landed {
    /// The guard answered as it promises on this node.
    Seen,
    /// The guard said nothing, or let it through.
    Missed,
    /// The act could not be tried.
    Failed,
}

impl Landed {
    pub(crate) const ALL: [Self; 3] = [Self::Seen, Self::Missed, Self::Failed];

    /// The word for metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Missed => "missed",
            Self::Failed => "failed",
        }
    }
}

/// A finished act.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) behaviour: &'static str,
    pub(crate) rule: Rule,
    pub(crate) landed: Landed,
    pub(crate) why: String,
}

/// Where canaries fly: a cgroup of the agent's own, which stays. It is made before the capabilities
/// are dropped without which nobody makes one in the root of the hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Ground(PathBuf);

impl Ground {
    /// Below the root, where it will be or was made by an agent before.
    pub(crate) fn below(mount: &Path) -> Self {
        Self(mount.join("bulkhead-canary"))
    }

    /// Makes it, if it is not there, without what an agent that was killed has left in it.
    pub(crate) fn make(&self) -> std::io::Result<()> {
        match fs::create_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => cgroup::clear(&self.0),
            made => made,
        }
    }

    /// Takes it away; false where there was none.
    pub(crate) fn remove(&self) -> std::io::Result<bool> {
        match cgroup::clear(&self.0).and_then(|()| fs::remove_dir(&self.0)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true),
        }
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// When the next round is, and the act that is under way.
pub(crate) struct Canary {
    ground: Ground,
    level: LevelTable,
    every: Option<Duration>,
    due: Instant,
    waiting: Vec<&'static Behaviour>,
    aloft: Option<Aloft>,
}

/// An act that is under way.
struct Aloft {
    behaviour: &'static Behaviour,
    promise: Promise,
    cgroup: Cgroup,
    acting: Receiver<anyhow::Result<Act>>,
    ended: Option<(Act, Instant)>,
    sightings: Vec<(Rule, Effect)>,
}

impl Canary {
    /// One that flies at this level; never, where `every` is `None`.
    pub(crate) fn new(ground: Ground, level: LevelTable, every: Option<Duration>) -> Self {
        let due = Instant::now() + FIRST;
        Self { ground, level, every, due, waiting: Vec::new(), aloft: None }
    }

    /// Another interval; it holds from now on.
    pub(crate) fn reschedule(&mut self, every: Option<Duration>) {
        if self.every != every {
            self.every = every;
            self.due = Instant::now() + every.unwrap_or_default();
        }
    }

    /// The kernel side told of an act of the canary's tenant.
    pub(crate) fn saw(&mut self, act: &ActKey) {
        let Some(aloft) = &mut self.aloft else { return };
        let (rule, effect) = (Rule::from_u16(act.rule.into()), Effect::from_u8(act.effect()));
        if act.container == aloft.cgroup.id() {
            aloft.sightings.extend(rule.zip(effect));
        }
    }

    /// Goes on: starts what is due, and returns what has ended.
    pub(crate) fn turn(&mut self, guard: &mut Guard) -> anyhow::Result<Option<Flight>> {
        if let Some(aloft) = &mut self.aloft {
            if !aloft.is_down(Instant::now()) {
                return Ok(None);
            }
            return self.land(guard).map(Some);
        }
        self.begin_round(Instant::now());
        let Some(behaviour) = self.waiting.pop() else { return Ok(None) };
        match Aloft::start(behaviour, &self.ground, &self.level, guard) {
            Ok(aloft) => self.aloft = aloft,
            Err(error) => {
                let why = format!("{error:#}");
                return Ok(Some(flight(behaviour, Landed::Failed, why)));
            }
        }
        Ok(None)
    }

    fn begin_round(&mut self, now: Instant) {
        let Some(every) = self.every else { return };
        if self.waiting.is_empty() && now >= self.due {
            self.due = now + every;
            self.waiting = BEHAVIOURS.iter().rev().filter_map(|name| acts::named(name)).collect();
        }
    }

    fn land(&mut self, guard: &mut Guard) -> anyhow::Result<Flight> {
        let Some(Aloft { behaviour, promise, cgroup, ended, sightings, .. }) = self.aloft.take()
        else {
            anyhow::bail!("no canary is under way");
        };
        guard.forget(cgroup.id())?;
        let act = ended.map_or_else(|| Act::Broken("it has no end".to_owned()), |(act, _)| act);
        let (landed, why) = judge(behaviour.rule, promise, &act, &sightings);
        Ok(flight(behaviour, landed, why))
    }
}

impl Aloft {
    /// `None` where this node promises nothing about the behaviour.
    fn start(
        behaviour: &'static Behaviour,
        ground: &Ground,
        level: &LevelTable,
        guard: &mut Guard,
    ) -> anyhow::Result<Option<Self>> {
        let table = promise::table_for(behaviour, level);
        let verdict = promise::verdict(behaviour, Relation::None, &table);
        let promise = Promise::of(verdict, guard.ladder().rung(behaviour.rule));
        if !matches!(promise, Promise::Blocked | Promise::Seen) {
            return Ok(None);
        }
        guard.set_level(CANARY_SLOT, &table)?;
        let cgroup = Cgroup::make(ground.0.join(stage::random()?))?;
        guard.set_identity(cgroup.id(), stage::container(&cgroup, CANARY_TENANT))?;
        let procs = cgroup.procs().try_clone().context("the canary's cgroup")?;
        let (done, acting) = channel();
        thread::Builder::new()
            .name("canary".to_owned())
            .spawn(move || {
                // Nobody listens where the agent has ended meanwhile.
                let _unheard = done.send(perform(behaviour, &procs));
            })
            .context("cannot start a thread for the canary")?;
        Ok(Some(Self { behaviour, promise, cgroup, acting, ended: None, sightings: Vec::new() }))
    }

    /// Whether the act has ended, and its records are here or had time to come.
    fn is_down(&mut self, now: Instant) -> bool {
        if self.ended.is_none() {
            self.ended = match self.acting.try_recv() {
                Ok(act) => Some((act.unwrap_or_else(|e| Act::Broken(format!("{e:#}"))), now)),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    Some((Act::Broken("its thread ended early".to_owned()), now))
                }
            };
        }
        let Some((_, at)) = &self.ended else { return false };
        let rule = self.behaviour.rule;
        self.sightings.iter().any(|(seen, _)| *seen == rule) || now.duration_since(*at) >= GRACE
    }
}

/// Does the act in a child of its own.
fn perform(behaviour: &'static Behaviour, procs: &File) -> anyhow::Result<Act> {
    debug_assert!(behaviour.target == Target::Nothing && behaviour.props.is_empty());
    let nowhere = PathBuf::from("/");
    let scene = Scene { scratch: nowhere.clone(), agents: nowhere, target: None };
    let mut child = child::start(behaviour.name, &scene, Some(procs), Vec::new(), Stdio::null())?;
    trial::listen(&mut child, PATIENCE, None, || Ok(()))
}

fn flight(behaviour: &'static Behaviour, landed: Landed, why: String) -> Flight {
    Flight { behaviour: behaviour.name, rule: behaviour.rule, landed, why }
}

fn judge(
    rule: Rule,
    promise: Promise,
    act: &Act,
    sightings: &[(Rule, Effect)],
) -> (Landed, String) {
    let through = matches!(act, Act::Done { errno: 0, .. });
    let seen = sightings.iter().find(|(seen, _)| *seen == rule);
    match (act, seen) {
        (Act::Unavailable(why) | Act::Broken(why), None) => (Landed::Failed, why.clone()),
        (_, None) if through => {
            (Landed::Missed, "it went through, and no record of it came".to_owned())
        }
        (_, None) => (Landed::Failed, "something else on this node refuses it first".to_owned()),
        (_, Some((_, Effect::Denied))) if through => {
            (Landed::Missed, "the record says denied, and the act went through".to_owned())
        }
        (_, Some((_, Effect::Denied))) => (Landed::Seen, "denied".to_owned()),
        (_, Some(_)) if promise == Promise::Blocked => {
            (Landed::Missed, "it was recorded and not refused".to_owned())
        }
        (_, Some(_)) => (Landed::Seen, "recorded".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule::Bpf;
    const REFUSED: Act = Act::Done { before: 1, after: 2, errno: 1 };
    const THROUGH: Act = Act::Done { before: 1, after: 2, errno: 0 };

    #[test]
    fn what_an_agent_that_was_killed_has_left_is_cleared_away() {
        let mount = tempfile::tempdir().unwrap();
        let ground = Ground::below(mount.path());
        assert!(!ground.remove().unwrap(), "there is none yet");
        ground.make().unwrap();
        fs::create_dir(ground.0.join("left")).unwrap();
        ground.make().unwrap();
        assert!(!ground.0.join("left").exists());
        fs::create_dir(ground.0.join("left")).unwrap();
        assert!(ground.remove().unwrap() && !ground.0.exists());
    }

    fn landed(promise: Promise, act: &Act, sightings: &[(Rule, Effect)]) -> Landed {
        judge(RULE, promise, act, sightings).0
    }

    #[test]
    fn what_the_guard_answers_is_seen() {
        assert_eq!(landed(Promise::Blocked, &REFUSED, &[(RULE, Effect::Denied)]), Landed::Seen);
        assert_eq!(landed(Promise::Seen, &THROUGH, &[(RULE, Effect::Observed)]), Landed::Seen);
    }

    #[test]
    fn silence_is_missed() {
        assert_eq!(landed(Promise::Blocked, &THROUGH, &[]), Landed::Missed);
        assert_eq!(landed(Promise::Seen, &THROUGH, &[]), Landed::Missed);
        let other = [(Rule::Signal, Effect::Denied)];
        assert_eq!(landed(Promise::Blocked, &THROUGH, &other), Landed::Missed);
    }

    #[test]
    fn what_something_else_refuses_says_nothing_of_the_guard() {
        assert_eq!(landed(Promise::Blocked, &REFUSED, &[]), Landed::Failed);
    }

    #[test]
    fn a_refusal_that_does_not_hold_is_missed() {
        assert_eq!(landed(Promise::Blocked, &THROUGH, &[(RULE, Effect::Denied)]), Landed::Missed);
        assert_eq!(landed(Promise::Blocked, &THROUGH, &[(RULE, Effect::Observed)]), Landed::Missed);
    }

    #[test]
    fn an_act_that_could_not_be_tried_says_nothing_of_the_guard() {
        let act = Act::Unavailable("no such file".into());
        assert_eq!(landed(Promise::Blocked, &act, &[]), Landed::Failed);
    }

    #[test]
    fn every_act_needs_no_stage() {
        for name in BEHAVIOURS {
            let behaviour = acts::named(name).unwrap_or_else(|| panic!("{name}"));
            assert!(behaviour.target == Target::Nothing && behaviour.props.is_empty(), "{name}");
            assert!(!behaviour.silent && behaviour.module.is_none(), "{name}");
        }
    }

    #[test]
    fn a_round_is_flown_when_it_is_due_and_never_without_a_schedule() {
        let mut canary =
            Canary::new(Ground(PathBuf::new()), LevelTable::OFF, Some(Duration::from_secs(60)));
        canary.begin_round(canary.due - Duration::from_millis(1));
        assert!(canary.waiting.is_empty());
        canary.begin_round(canary.due);
        assert_eq!(canary.waiting.len(), BEHAVIOURS.len());
        let mut never = Canary::new(Ground(PathBuf::new()), LevelTable::OFF, None);
        never.begin_round(never.due + Duration::from_secs(1_000_000));
        assert!(never.waiting.is_empty());
    }
}
