//! The running agent: one loop that waits for records, time, the configuration and signals.

mod acts;
mod answers;
mod calls;
mod canary;
mod exceptions;
mod hardening;
mod lineages;
mod notices;
mod own;
mod profiles;
mod responses;

pub(super) use canary::Perch;

use std::{collections::BTreeMap, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use super::verification::Verification;
use anyhow::Context;
use bulkhead_abi::{CountKey, Rule};
use bulkhead_policy::{
    Policy, Settings,
    catalogue::Severity,
    decode::{self, Record},
    event::{Event, Kind, Malformed, Names},
};
use jiff::Timestamp;
use tokio::{
    io::unix::AsyncFd,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};

use self::{answers::Door, hardening::Hardening, profiles::ProfileThread};
use super::standing::Standing;
use crate::{
    control::{self, Question},
    kernel::{Guard, NO_CONTAINER, Records, State},
    lineage::Lineages,
    node::{clock, vantage::Vantage},
    prove::Canary,
    report::{
        evidence::{self, Evidence},
        http::{Readiness, Server},
        metrics::Metrics,
    },
    respond::Responder,
    settings::{Change, Watcher},
    verify::GuardCan,
    watch::{Doubt, Losses, Repeated, Waiting, Watch},
    workloads::Workloads,
    wrapper::Handout,
};

/// Records that wake nobody wait at most so long.
const LOOK: Duration = Duration::from_millis(10);
/// Counts, the configuration, and what needs no hurry.
const TICK: Duration = Duration::from_secs(1);

/// Everything that runs.
pub(super) struct Service {
    guard: Guard,
    workloads: Workloads,
    watch: Watch,
    /// Readable when a critical act has been recorded.
    refusals: AsyncFd<OwnedFd>,
    lifecycle: AsyncFd<Records>,
    evidence: Evidence,
    metrics: Arc<Metrics>,
    server: Option<Server>,
    ready: watch::Sender<Readiness>,
    watcher: Option<Watcher>,
    /// `None` where the control socket could not be opened.
    questions: Option<mpsc::Receiver<Question>>,
    door: Door,
    responder: Responder,
    hardening: Hardening,
    lineages: Lineages,
    profiles: ProfileThread,
    losses: Losses,
    doubt: Doubt,
    waiting: Waiting,
    verification: Verification,
    repeated: Repeated,
    canary: Canary,
    /// The canary's interval, in minutes, where the command line has one.
    schedule: Option<u64>,
    lifecycle_lost: u64,
    overflow_told: bool,
    handout: Handout,
}

impl Service {
    /// Binds what is outward.
    pub(super) async fn new(
        mut guard: Guard,
        workloads: Workloads,
        watch: Watch,
        evidence: Evidence,
        watcher: Option<Watcher>,
        settings: &Settings,
        perch: Perch,
    ) -> anyhow::Result<Self> {
        let metrics = Arc::new(metrics_of(&guard)?);
        metrics.reloaded(seconds_since_1970());
        let starting = Err("the agent is starting".to_owned());
        let (ready, readiness) = watch::channel(starting);
        let address = settings.configuration.metrics.address;
        let server = Server::bind(address, Arc::clone(&metrics), readiness).await?;
        let address = server.address().unwrap_or(address);
        tracing::info!(%address, "serving /metrics, /healthz and /readyz");
        let lifecycle = guard.take_lifecycle().context("the lifecycle ring is taken already")?;
        let refusals = watch.wake().context("cannot wait for verdicts")?;
        #[expect(deprecated, reason = "both own their descriptors for life; `register` is unsafe")]
        let (lifecycle, refusals) = (AsyncFd::new(lifecycle), AsyncFd::new(refusals));
        let lifecycle = lifecycle.context("cannot wait for the lifecycle ring")?;
        let refusals = refusals.context("cannot wait for verdicts")?;
        let vantage = vantage_of(&workloads);
        let mut responder = open_responder(settings, vantage.as_ref(), &workloads)?;
        responder.take_as_answered(&guard.counts()?);
        let door = Door::new(vantage);
        let hardening = Hardening::start(settings, &workloads, &metrics)
            .context("cannot start what holds limits")?;
        let profiles = ProfileThread::start(&settings.configuration, &metrics)
            .context("cannot start what loads profiles")?;
        let losses = Losses::recover(guard.told_losses()?);
        let repeated = Repeated::recover(guard.said_repeats()?);
        let doubt = Doubt::new(guard.in_hand()?, evidence.last_found());
        let lifecycle_lost = guard.lifecycle_lost()?;
        let executed = guard.take_executed().context("the ring of programs is taken already")?;
        let lineages = Lineages::start(executed, &workloads);
        let questions = open_control(&settings.configuration.runtime_directory);
        let mut service = Self {
            guard,
            workloads,
            watch,
            refusals,
            lifecycle,
            evidence,
            metrics,
            server: Some(server),
            ready,
            watcher,
            questions,
            door,
            responder,
            hardening,
            lineages,
            profiles,
            losses,
            doubt,
            waiting: Waiting::default(),
            verification: Verification::default(),
            repeated,
            schedule: perch.schedule,
            canary: canary::of(settings, perch)?,
            lifecycle_lost,
            overflow_told: false,
            handout: Handout::in_directory(&settings.configuration.runtime_directory),
        };
        service.hand_out(&settings.policy);
        service.protect(&settings.configuration)?;
        Ok(service)
    }

    /// Runs until a signal ends it.
    pub(super) async fn run(mut self, standing: &Standing) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = self.server.take().map(|server| {
            tokio::spawn(server.serve(async {
                // The sender's end is the signal too.
                let _stopped_or_gone = stopped.await;
            }))
        });
        tracing::info!(directory = %self.evidence.directory().display(), "the evidence log is open");
        self.tell_start()?;
        self.tell_left_undone()?;
        for (severity, message) in standing.at_start() {
            self.notice("pinned", severity, &message);
        }
        self.tell_absent_claims();
        self.tell_ended_exceptions();
        self.start_verifying();
        self.tick()?;
        drop(self.ready.send_replace(Ok(())));
        tracing::info!(containers = self.workloads.containers().count(), "watching");
        let ended = self.watch_until_signal(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping");
        drop(self.ready.send_replace(Err("the agent is stopping".to_owned())));
        drop(stop);
        if let Some(serving) = serving {
            serving.await.context("the metrics server failed")?;
        }
        ended?;
        self.end(standing.at_end())
    }

    async fn watch_until_signal(
        &mut self,
        terminate: &mut Signal,
        interrupt: &mut Signal,
    ) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                ready = self.lifecycle.readable_mut() => {
                    ready.context("cannot wait for the lifecycle ring")?.clear_ready();
                    self.survive(Self::take_lifecycle);
                }
                ready = self.refusals.readable_mut() => {
                    ready.context("cannot wait for verdicts")?.clear_ready();
                    self.survive(Self::take_events);
                }
                Some(outcome) = self.responder.outcome() => self.responded(outcome),
                Some(question) = asked(&mut self.questions) => self.answer(question),
                heard = self.hardening.heard() => self.hear(heard),
                _ = look.tick() => self.survive(Self::take_events),
                _ = tick.tick() => self.survive(Self::tick),
            }
        }
    }

    /// Does a part of the work. What goes wrong with one container, a full map for instance, must
    /// not end the agent for all: what is attached goes on deciding, and this is told.
    fn survive(&mut self, part: fn(&mut Self) -> anyhow::Result<()>) {
        if let Err(error) = part(self) {
            tracing::error!("the agent goes on, but not all is done: {error:#}");
        }
    }

    /// What is there still goes into the log.
    fn end(mut self, message: &str) -> anyhow::Result<()> {
        self.take_events()?;
        self.tell_repeats(true)?;
        self.notice("stopped", Severity::Low, message);
        let (flush, lost) = self.evidence.close();
        tell_flush(&flush);
        if lost > 0 {
            tracing::error!(events = lost, "events could not be written before the end");
        }
        Ok(())
    }

    fn take_lifecycle(&mut self) -> anyhow::Result<()> {
        let mut records = Vec::new();
        self.lifecycle.get_mut().drain(|bytes| {
            records.push(decode::decode(bytes).map_err(|error| (error, bytes.len())));
        });
        for record in records {
            match record {
                Ok(Record::CgroupMade(made)) => self.workloads.made(&made, &mut self.guard)?,
                Ok(Record::CgroupGone(gone)) => self.workloads.removed(&gone),
                Ok(Record::Act(_) | Record::Executed(_)) => {
                    tracing::error!("another record came through the lifecycle ring");
                }
                Err((error, length)) => {
                    self.metrics.malformed(error.reason());
                    let part = Kind::Malformed(Malformed::new(&error, length));
                    let node = self.watch.node();
                    self.evidence.append(Event::new(Timestamp::now(), node, part));
                }
            }
        }
        Ok(self.workloads.retry(&mut self.guard)?)
    }

    fn take_events(&mut self) -> anyhow::Result<()> {
        // A container's making was recorded before its first act: it is named before that is told.
        self.take_lifecycle()?;
        // Each turn brings what is critical first.
        while self.take_turn()? > 0 {}
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        self.watch.set_boot(clock::boot_time()?);
        self.reload()?;
        self.harden();
        self.tell_profiles();
        self.publish_handout();
        self.keep_dates()?;
        let mut counts = self.guard.counts()?;
        let of_canary: Vec<_> = counts.extract_if(.., |(key, _)| canary::counted(key)).collect();
        self.metrics.fold_counts(&counts, |tenant| self.workloads.tenant(tenant));
        self.metrics.fold_uncounted(&self.guard.uncounted()?);
        self.metrics.set_unattributed(self.workloads.unattributed());
        self.set_container_metrics();
        self.set_exception_metrics();
        for event in self.losses.tell(&counts, &self.workloads, self.watch.node()) {
            self.evidence.append(event);
        }
        self.look_at_frozen(&counts);
        let programs = self.guard.executed_lost()?;
        self.metrics.programs_lost(self.lineages.tick(&self.workloads, programs));
        self.retire_counts_of_the_gone(&counts)?;
        self.retire_counts_of_the_gone(&of_canary)?;
        let (metrics, node) = (&self.metrics, self.watch.node());
        let found = self.verification.tick(&self.workloads, metrics, node);
        for event in found.events {
            self.evidence.append(event);
        }
        for (cgroup, lacks) in found.evictable {
            self.evict(cgroup, &lacks);
        }
        self.tell_repeats(false)?;
        self.fly()?;
        self.flush();
        self.remember_what_is_written()?;
        self.tell_overflow()?;
        let lost = self.guard.lifecycle_lost()?;
        if lost > self.lifecycle_lost {
            tracing::warn!(records = lost - self.lifecycle_lost, "lifecycle records were lost");
            self.lifecycle_lost = lost;
            self.workloads.scan(&mut self.guard)?;
        }
        Ok(())
    }

    /// The counts of a container that is gone are final: they go to its tenant's total, and their
    /// room in the kernel's map is for others.
    fn retire_counts_of_the_gone(&mut self, counts: &[(CountKey, u64)]) -> anyhow::Result<()> {
        for (key, count) in counts {
            if key.container != NO_CONTAINER && self.guard.identity(key.container).is_none() {
                self.guard.retire_count(key, *count)?;
            }
        }
        Ok(())
    }

    fn start_verifying(&mut self) {
        let enforces =
            |rule| self.guard.ladder().rule(rule).is_some_and(|status| status.state.enforces());
        let guard = GuardCan {
            refuse_capabilities: enforces(Rule::CapabilityCeiling),
            refuse_devices: enforces(Rule::DeviceNotGranted),
        };
        let node = self.watch.node();
        if let Some(unable) = self.verification.start(&self.workloads, guard, node) {
            self.evidence.append(unable);
        }
    }

    fn flush(&mut self) {
        write_out(&mut self.evidence, &self.metrics);
    }

    fn set_container_metrics(&self) {
        let mut totals: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for workload in self.workloads.containers() {
            let assignment = &workload.assignment;
            *totals.entry((&assignment.tenant, &assignment.level)).or_default() += 1;
        }
        let totals = totals.into_iter().map(|((tenant, level), count)| (tenant, level, count));
        self.metrics.set_containers(totals);
    }

    /// Tells the runtime wrapper what holds for new containers.
    fn hand_out(&mut self, policy: &Policy) {
        self.handout.change(policy);
        self.publish_handout();
    }

    fn publish_handout(&mut self) {
        match self.handout.publish() {
            Ok(None) => {}
            Ok(Some(told)) => self.notice("wrapper", Severity::Low, told),
            Err(error) => {
                let message = format!("{:#}", anyhow::Error::from(error));
                self.notice("wrapper", Severity::High, &message);
            }
        }
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        let Some(watcher) = &mut self.watcher else { return Ok(()) };
        match watcher.look() {
            Change::None => {}
            Change::Good(settings) => {
                let keep = settings.configuration.response.keep_captures;
                self.responder.keep_captures(usize::try_from(keep).unwrap_or(usize::MAX));
                self.hand_out(&settings.policy);
                self.canary.reschedule(canary::interval(&settings, self.schedule));
                self.protect(&settings.configuration)?;
                self.workloads.adopt_policy(settings.policy.clone(), &mut self.guard)?;
                self.harden_by(settings.policy);
                self.metrics.reloaded(seconds_since_1970());
                self.notice("policy", Severity::Low, "the new configuration is in force");
                self.tell_absent_claims();
                self.tell_ended_exceptions();
            }
            Change::Bad(error) => {
                self.metrics.reload_failed();
                let message = format!("{error}; the configuration before stays in force");
                self.notice("policy", Severity::High, &message);
            }
        }
        Ok(())
    }
}

/// The metrics that never change while the agent runs.
fn metrics_of(guard: &Guard) -> anyhow::Result<Metrics> {
    let revision = option_env!("BULKHEAD_REVISION").unwrap_or("unknown");
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), revision)?;
    let ladder = guard.ladder();
    for rule in &ladder.rules {
        metrics.set_control_rung(rule.rule, rule.rung);
    }
    for state in [State::Enforcing, State::Observing, State::Blind] {
        metrics.set_rules(state.as_str(), ladder.count(state));
    }
    canary::announce(&metrics);
    Ok(metrics)
}

/// A node without the socket is still guarded: it is told, and the agent goes on.
fn open_control(directory: &Path) -> Option<mpsc::Receiver<Question>> {
    let path = control::socket_in(directory);
    match control::Server::bind(&path) {
        Ok((server, questions)) => {
            drop(tokio::spawn(server.serve()));
            tracing::info!(socket = %path.display(), "commands may ask this agent");
            Some(questions)
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "no command can ask this agent");
            None
        }
    }
}

fn open_responder(
    settings: &Settings,
    vantage: Option<&Vantage>,
    workloads: &Workloads,
) -> anyhow::Result<Responder> {
    let configuration = &settings.configuration;
    let keep = usize::try_from(configuration.response.keep_captures)?;
    let captures = configuration.evidence_directory().join("captures");
    let own = vantage.map(|vantage| vantage.own().to_owned());
    Ok(Responder::open(&configuration.state_directory, captures, keep, own, workloads)?)
}

fn vantage_of(workloads: &Workloads) -> Option<Vantage> {
    match Vantage::find(workloads.tree()) {
        Ok(vantage) => Some(vantage),
        Err(error) => {
            tracing::error!(%error, "cannot tell which cgroup an asking process is in");
            None
        }
    }
}

async fn asked(questions: &mut Option<mpsc::Receiver<Question>>) -> Option<Question> {
    match questions {
        Some(questions) => questions.recv().await,
        None => std::future::pending().await,
    }
}

fn seconds_since_1970() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

fn write_out(evidence: &mut Evidence, metrics: &Metrics) {
    let flush = evidence.flush();
    metrics.flushed(&flush);
    tell_flush(&flush);
}

fn tell_flush(flush: &evidence::Flush) {
    match &flush.change {
        Some(evidence::Change::Failing(error)) => {
            tracing::error!(%error, "the evidence log cannot be written; events wait in memory");
        }
        Some(evidence::Change::Recovered) => {
            tracing::info!("the evidence log can be written again");
        }
        None => {}
    }
    if flush.echo_ended {
        tracing::warn!("nobody reads the copy of the log on standard output any more");
    }
}
