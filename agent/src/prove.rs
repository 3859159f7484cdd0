//! `bulkhead prove`: harmless breakouts, tried at each level, and what became of them.
//!
//! ```text
//! behaviour, acts   what is tried
//! prop, stage       where: throw-away cgroups, private mounts, targets of our own
//! lend              what a process that is acted on hands out
//! child, play       each act in a fresh process; `actor` is what it is given and gives back
//! engine, guarded   the guard, as prove uses it
//! levels            which levels
//! promise           what the level promises on this node
//! outcome, trial    what one trial showed
//! canary            a few of them, now and then, within the running agent
//! report            the table, the numbers, the document
//! ```

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bulkhead_abi::{LevelTable, Relation, Rule};

mod actor;
mod acts;
mod behaviour;
mod canary;
mod cgroup;
mod child;
mod engine;
mod guarded;
mod lend;
mod levels;
mod module;
mod outcome;
mod play;
mod promise;
mod prop;
mod report;
mod stage;
mod sys;
mod trial;

use behaviour::Behaviour;
pub(crate) use canary::{BEHAVIOURS as CANARIES, Canary, Flight, Ground, Landed};
use engine::{Engine, Unguarded};
pub(crate) use guarded::Guarded;
pub(crate) use levels::{Level, asked_for, strictest};
use report::{Document, LevelReport, text::Paint};
use stage::Stage;
use trial::{Bench, Trial};

/// Flags of `bulkhead prove`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// A part of the behaviours, at level `untrusted` unless --level says otherwise.
    #[arg(long)]
    pub(crate) quick: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// A level to prove; may be repeated. All levels otherwise.
    #[arg(long = "level", value_name = "NAME")]
    pub(crate) levels: Vec<String>,
    /// A configuration file, for its levels and tenants.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A tenant of the configuration whose level, with its own changes, is to be proven; may be
    /// repeated.
    #[arg(long = "tenant", value_name = "NAME")]
    pub(crate) tenants: Vec<String>,
    /// A behaviour to try; may be repeated. All behaviours otherwise.
    #[arg(long = "only", value_name = "BEHAVIOUR")]
    pub(crate) only: Vec<String>,
    /// Lists the behaviours and tries none.
    #[arg(long)]
    pub(crate) list: bool,
    /// Tries the behaviours without any guard: shows what this node lets through by itself.
    #[arg(long)]
    pub(crate) unguarded: bool,
    /// Lets acts make the kernel load modules (crypto and rare socket families), which stay.
    #[arg(long)]
    pub(crate) load_modules: bool,
    /// How long one act may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) patience: u64,
}

/// Arguments of the hidden `bulkhead act`: one child of `prove`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ActArguments {
    name: String,
    #[arg(long)]
    scene: String,
}

/// Runs one child. It must be called before the process has a second thread: some acts are open to
/// single-threaded processes alone.
pub(crate) fn act(arguments: &ActArguments) -> anyhow::Result<()> {
    play::play(&arguments.name, &arguments.scene)
}

/// Writes the behaviours, one a line.
pub(crate) fn list(out: &mut dyn Write) -> std::io::Result<()> {
    for behaviour in acts::all() {
        let Behaviour { name, row, rule, what, .. } = behaviour;
        let against = match behaviour.target {
            behaviour::Target::Nothing => "",
            behaviour::Target::Process => " (another tenant's, the node's, one's own)",
        };
        writeln!(out, "{name:17} {row:4} {:12} {what}{against}", rule_id(*rule))?;
    }
    Ok(())
}

/// Tries the behaviours at each of `levels`, writes what came of them, and returns the exit
/// status: 0 as promised, 2 something is missed or wrong, 3 this node cannot enforce all of it.
pub(crate) fn run(
    options: &Options,
    levels: &[Level],
    engine: &mut dyn Engine,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    let behaviours = chosen(options)?;
    let document = prove(options, &behaviours, levels, engine)?;
    if options.json {
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)?;
    } else {
        let paint = if std::io::stdout().is_terminal() { Paint::Colour } else { Paint::Plain };
        report::text::write(out, &document, paint)?;
    }
    Ok(document.conclusion.status())
}

/// Tries the behaviours without a guard: what goes through and what this node refuses by itself.
pub(crate) fn run_unguarded(options: &Options, out: &mut dyn Write) -> anyhow::Result<u8> {
    let level = Level { name: "none (unguarded)".into(), table: LevelTable::OFF };
    run(options, &[level], &mut Unguarded, out)
}

fn chosen(options: &Options) -> anyhow::Result<Vec<&'static Behaviour>> {
    if options.only.is_empty() {
        return Ok(acts::all().filter(|one| one.quick || !options.quick).collect());
    }
    let find = |name: &String| {
        acts::named(name).with_context(|| {
            format!("no behaviour is called {name:?}; `bulkhead prove --list` lists them")
        })
    };
    options.only.iter().map(find).collect()
}

/// Sets the stage, runs every trial, and clears the stage, whatever happens between.
fn prove(
    options: &Options,
    behaviours: &[&'static Behaviour],
    levels: &[Level],
    engine: &mut dyn Engine,
) -> anyhow::Result<Document> {
    ensure!(nix::unistd::geteuid().is_root(), "prove makes cgroups and mounts: it has to be root");
    child::check_own_program()?;
    sys::catch_interruptions().context("cannot catch signals")?;
    let kernel = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    let stage = Stage::build(engine).context("cannot set the stage")?;
    let stage_path = stage.path().to_owned();
    let mut bench = Bench {
        stage,
        wake: engine.wake()?,
        engine,
        patience: Duration::from_secs(options.patience),
        load_modules: options.load_modules,
    };
    let reports = prove_levels(&mut bench, behaviours, levels);
    let Bench { stage, engine, .. } = bench;
    let forgotten = stage.forget(engine);
    drop(stage);
    if stage_path.exists() {
        bail!("the cgroup {} could not be removed", stage_path.display());
    }
    let reports = reports?;
    forgotten?;
    Ok(Document::new(kernel, reports))
}

fn prove_levels(
    bench: &mut Bench<'_>,
    behaviours: &[&'static Behaviour],
    levels: &[Level],
) -> anyhow::Result<Vec<LevelReport>> {
    let trials: Vec<(&'static Behaviour, Relation)> = behaviours
        .iter()
        .flat_map(|behaviour| behaviour.target.relations().iter().map(|to| (*behaviour, *to)))
        .collect();
    let mut progress = Progress::new(trials.len() * levels.len());
    levels
        .iter()
        .map(|level| {
            let found = trials
                .iter()
                .map(|(behaviour, relation)| {
                    progress.step(&level.name, behaviour.name);
                    bench.try_one(behaviour, *relation, &level.table)
                })
                .collect::<anyhow::Result<Vec<Trial>>>()?;
            Ok(LevelReport::new(level.name.clone(), &found))
        })
        .collect()
}

/// Says on a terminal how far a long run is.
struct Progress {
    started: Instant,
    done: usize,
    total: usize,
    told: bool,
}

impl Progress {
    const PATIENCE: Duration = Duration::from_secs(2);

    fn new(total: usize) -> Self {
        Self { started: Instant::now(), done: 0, total, told: false }
    }

    fn step(&mut self, level: &str, behaviour: &str) {
        if self.started.elapsed() > Self::PATIENCE && std::io::stderr().is_terminal() {
            eprint!("\r\x1b[Ktrial {} of {}: {level} {behaviour}", self.done + 1, self.total);
            self.told = true;
        }
        self.done += 1;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.told {
            eprint!("\r\x1b[K");
        }
    }
}

/// A rule's stable id.
fn rule_id(rule: Rule) -> &'static str {
    bulkhead_policy::catalogue::info(rule).id
}
