//! `bulkhead doctor`

use std::{io::Write, process::ExitCode};

use anyhow::Context;

use super::NOT_ENFORCED;
use crate::{
    cli::DoctorArguments,
    kernel::{Guard, Ladder, State},
    node::privilege,
};

pub(super) fn run(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    privilege::require()?;
    let guard = Guard::load().context("cannot look at this node's kernel")?;
    let ladder = guard.ladder();
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, ladder)?;
        writeln!(out)?;
    } else {
        print(ladder, &mut out)?;
    }
    Ok(if ladder.fully_enforcing() { ExitCode::SUCCESS } else { ExitCode::from(NOT_ENFORCED) })
}

/// The ladder as a table.
pub(super) fn print(ladder: &Ladder, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "Kernel {}", ladder.kernel)?;
    if let Some(modules) = &ladder.active_lsm {
        writeln!(out, "Security modules: {}", modules.trim())?;
    }
    writeln!(out)?;
    writeln!(out, "{:<12} {:<10} {:<10} RULE", "ID", "STATE", "RUNG")?;
    for rule in &ladder.rules {
        let (state, rung) = (rule.state.as_str(), rule.rung.as_str());
        writeln!(out, "{:<12} {state:<10} {rung:<10} {}", rule.rule, rule.title)?;
        if !rule.why.is_empty() {
            writeln!(out, "{:<12} {}", "", rule.why)?;
        }
    }
    let [enforcing, observing, blind] =
        [State::Enforcing, State::Observing, State::Blind].map(|state| ladder.count(state));
    writeln!(out)?;
    writeln!(out, "{enforcing} rules can refuse, {observing} can only see, {blind} cannot see.")?;
    for lack in ladder.lineage.lacks() {
        writeln!(out, "Note: {lack}.")?;
    }
    for advice in &ladder.advice {
        writeln!(out, "To get more: {advice}.")?;
    }
    Ok(())
}
