//! `bulkhead run`: everything in its order, then the loop.

mod service;
mod standing;
mod verification;

use std::{process::ExitCode, thread};

use anyhow::Context;
use bulkhead_policy::Settings;
use caps::Capability;

use self::{
    service::{Perch, Service},
    standing::Standing,
};
use crate::{
    cli::RunArguments,
    kernel::{Guard, Ladder, PinError, Pins, State},
    node::{
        cgroupfs::CgroupTree,
        clock, heap,
        instance::Instance,
        name as node_name,
        privilege::{self, Dropped},
    },
    prove::Ground,
    report::evidence::{Evidence, EvidenceOptions},
    settings::{self, Watcher},
    watch::{Recorder, Watch},
    workloads::{Announced, Bundles, Workloads},
};

/// What the agent still needs when everything is attached: maps are written through bpf(2), whose
/// use by the unprivileged is switched off on most nodes; bundles and executables are other users'; the
/// kernel tells only a network administrator which device programs runtimes have attached.
const KEPT: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_NET_ADMIN,
];

/// The same, and what it takes to put an AppArmor profile back that somebody changed.
fn kept(settings: &Settings) -> Vec<Capability> {
    let profiles = settings.configuration.profiles.app_armor;
    KEPT.into_iter().chain(profiles.then_some(Capability::CAP_MAC_ADMIN)).collect()
}

pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    start_logging()?;
    // Nothing is bound or loaded while the configuration may still be refused.
    let settings = settings::load(arguments.config.as_deref())?;
    let watcher = arguments.config.as_deref().map(Watcher::new);
    privilege::require()?;
    if let Err(error) = heap::keep_small() {
        tracing::warn!(%error, "the agent may come to hold more memory than it needs");
    }
    let _instance = Instance::claim(&settings.configuration.state_directory)?;
    let tree = CgroupTree::find()?;
    if tree.is_partial() {
        tracing::warn!(
            mount = %tree.mount().display(),
            "only a part of the node's cgroups is visible: what lies outside is not protected"
        );
    }
    let perch = Perch { ground: Ground::below(tree.mount()), schedule: arguments.schedule };
    if let Err(error) = perch.ground.make() {
        // The first canary says so too.
        tracing::warn!(%error, "there is no cgroup for the canary");
    }
    let mut evidence = open_evidence(&settings)?;
    let (mut guard, unpinned) = start_apart(&arguments.build_mark)?;
    tell_ladder(guard.ladder());
    let mut workloads = Workloads::new(
        tree,
        Bundles::below("/").and(Announced::default()),
        settings.policy.clone(),
        &mut guard,
    )?;
    workloads.scan(&mut guard)?;
    guard.adopt()?;
    let standing = Standing { succeeded: guard.lead()?, unpinned };
    if standing.has_replaced() {
        // Cgroups that were made since the last look may be told of in a ring that nobody reads any more.
        workloads.scan(&mut guard)?;
    }
    let events = guard.take_events().context("the ring of verdicts is taken already")?;
    let mut watch = Watch::new(events, &node_name()?, clock::boot_time()?);
    if let Some(path) = &arguments.record {
        let recorder = Recorder::create(path)
            .with_context(|| format!("cannot record to {}", path.display()))?;
        watch.record_to(recorder);
    }
    heap::give_back();
    let kept = kept(&settings);
    let Dropped { bounding } = privilege::drop_to(&kept)?;
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    tracing::info!(bounding, "capabilities dropped; kept: {}", kept.join(", "));
    if settings.configuration.evidence.stdout {
        // A thread of its own: after the drop, which binds one thread alone.
        evidence.echo_to(std::io::stdout())?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        let service =
            Service::new(guard, workloads, watch, evidence, watcher, &settings, perch).await?;
        service.run(&standing).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// In a thread of its own, so that the C library serves it from a heap of its own: a hundred times what the
/// agent needs later, and what it does later would be scattered over what that leaves.
fn start_apart(mark: &str) -> anyhow::Result<(Guard, Option<String>)> {
    thread::scope(|scope| match scope.spawn(|| start_guard(mark)).join() {
        Ok(started) => started,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Goes on with what is pinned, or pins what it loads. Where nothing can be pinned, the guard lasts
/// as long as this process: better than none, and told.
fn start_guard(mark: &str) -> anyhow::Result<(Guard, Option<String>)> {
    let pins = match Pins::open() {
        Ok(pins) => pins,
        Err(error @ PinError::Running(_)) => return Err(error.into()),
        Err(error) => {
            let guard = Guard::load().context("cannot load the guard")?;
            return Ok((guard, Some(format!("{:#}", anyhow::Error::from(error)))));
        }
    };
    Ok((Guard::start(pins, mark).context("cannot start the guard")?, None))
}

pub(super) fn start_logging() -> anyhow::Result<()> {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_env("BULKHEAD_LOG")
        .unwrap_or_else(|_unset_or_bad| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

fn open_evidence(settings: &Settings) -> anyhow::Result<Evidence> {
    let configured = &settings.configuration.evidence;
    let directory = settings.configuration.evidence_directory();
    let mut options = EvidenceOptions::in_directory(directory);
    options.max_file_bytes = configured.max_file_mib << 20;
    options.keep_files = usize::try_from(configured.keep_files)?;
    Ok(Evidence::open(options, &node_name()?)?)
}

/// Enforcement asked for and not to be had is never silent.
fn tell_ladder(ladder: &Ladder) {
    let [enforcing, observing, blind] =
        [State::Enforcing, State::Observing, State::Blind].map(|state| ladder.count(state));
    tracing::info!(kernel = ladder.kernel, enforcing, observing, blind, "the guard is attached");
    for advice in &ladder.advice {
        tracing::warn!("to get more: {advice}");
    }
}
