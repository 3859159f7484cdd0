//! The same command on every kernel.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use super::channel::Sinks;
use super::kernel::Kernel;
use super::run::{self, Outcome};
use super::{AREA, RunArguments, image, setup};

/// Runs the command on each kernel in turn; the exit status is the first one that is not 0.
pub(crate) fn perform(run: &RunArguments) -> Result<ExitCode> {
    setup::ensure()?;
    let programs = run::programs(&run.node)?;
    let mut rows = Vec::new();
    for &kernel in Kernel::value_variants() {
        let mut run = run.clone();
        run.node.kernel = kernel;
        let image = image::of(&run.node)?;
        let begun = Instant::now();
        let outcome = run::boot(&run, &image, &programs, Sinks::own())?;
        rows.push((kernel, outcome, begun.elapsed().as_secs_f64()));
    }
    eprintln!("{AREA}: kernel  result               seconds");
    for (kernel, outcome, seconds) in &rows {
        eprintln!("{AREA}: {:<7} {:<20} {seconds:>7.1}", kernel.name(), describe(outcome));
    }
    let failed = rows.iter().map(|(_, outcome, _)| outcome.status()).find(|&status| status != 0);
    Ok(ExitCode::from(failed.unwrap_or(0)))
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Exited(0) => "passed".to_owned(),
        Outcome::Exited(status) => format!("failed with {status}"),
        Outcome::TimedOut => "not done in time".to_owned(),
        Outcome::Panicked(_) => "kernel panic".to_owned(),
        Outcome::Lost(_) => "machine lost".to_owned(),
    }
}
