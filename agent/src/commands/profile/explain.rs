//! `bulkhead profile explain`

use std::{io::Write, process::ExitCode};

use anyhow::{Context, bail};
use bulkhead_seccomp::{
    Action, Arch, Rule, Simulation,
    calls::{self, Known},
};
use serde::Serialize;

use super::{print_json, source};
use crate::cli::profile::ExplainCall;

/// What a profile answers on one architecture.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    architecture: Arch,
    number: u32,
    answer: String,
    notes: Vec<String>,
}

pub(super) fn run(arguments: &ExplainCall) -> anyhow::Result<ExitCode> {
    let simulation = source::simulation(&arguments.file)?;
    let call = arguments.call.as_str();
    if calls::known(call) == Known::Unknown {
        let meant =
            calls::nearest(call).map_or_else(String::new, |near| format!("; was {near} meant?"));
        bail!("no system call is named {call}{meant}");
    }
    let mut values = [0; 6];
    for (index, value) in &arguments.args {
        *values.get_mut(*index).context("a call has six arguments")? = *value;
    }
    let architectures = match arguments.arch {
        Some(arch) => vec![arch],
        None => Arch::ALL.into_iter().filter(|arch| simulation.covers(*arch)).collect(),
    };
    let mut answers = Vec::new();
    for arch in architectures {
        answers.extend(explain(&simulation, arch, call, values)?);
    }
    if answers.is_empty() {
        bail!("no architecture that was asked for has the call {call}");
    }
    let rules: Vec<_> = naming(&simulation, call).collect();
    if arguments.json {
        let rules: Vec<_> = rules.iter().map(|(index, rule)| document(*index, rule)).collect();
        print_json(&serde_json::json!({
            "call": call, "arguments": values, "answers": answers, "rules": rules,
        }))?;
    } else {
        print(call, values, &answers, &rules)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(
    simulation: &Simulation,
    arch: Arch,
    call: &str,
    values: [u64; 6],
) -> anyhow::Result<Option<Explained>> {
    let Some(number) = calls::number(arch, call) else { return Ok(None) };
    let Some(answer) = simulation.ask(arch, call, values)? else { return Ok(None) };
    let mut notes = Vec::new();
    if !simulation.covers(arch) {
        notes.push(format!("the profile does not cover {arch}: every call of it ends the program"));
    }
    if let Some(newer) = answer.newer {
        notes.push(format!(
            "the call is newer than libseccomp {} here; a runtime whose libseccomp knows it will {newer}",
            calls::libseccomp_version()
        ));
    }
    if simulation.covers(arch) && simulation.is_newer_than_the_profile(arch, number) {
        notes.push(format!(
            "the call is newer than any that the profile names: runc will {}",
            Action::Errno(bulkhead_seccomp::profile::ENOSYS)
        ));
    }
    Ok(Some(Explained { architecture: arch, number, answer: answer.action.to_string(), notes }))
}

fn naming<'a>(
    simulation: &'a Simulation,
    call: &'a str,
) -> impl Iterator<Item = (usize, &'a Rule)> {
    let rules = simulation.profile().rules.iter().enumerate();
    rules.filter(move |(_, rule)| rule.names.iter().any(|name| name == call))
}

fn conditions(rule: &Rule) -> String {
    let together = if rule.repeats_an_argument() { " or " } else { " and " };
    rule.args.iter().map(ToString::to_string).collect::<Vec<_>>().join(together)
}

fn document(index: usize, rule: &Rule) -> serde_json::Value {
    serde_json::json!({
        "rule": format!("syscalls[{index}]"),
        "action": rule.action.to_string(),
        "conditions": conditions(rule),
        "comment": rule.comment,
    })
}

fn print(
    call: &str,
    values: [u64; 6],
    answers: &[Explained],
    rules: &[(usize, &Rule)],
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let used = values.iter().rposition(|value| *value != 0).map_or(0, |last| last + 1);
    let shown: Vec<_> = values.iter().take(used).map(|value| format!("{value:#x}")).collect();
    for answer in answers {
        let Explained { architecture, number, answer, notes } = answer;
        writeln!(
            out,
            "{call}({}) on {architecture} (number {number}): {answer}",
            shown.join(", ")
        )?;
        for note in notes {
            writeln!(out, "  note: {note}")?;
        }
    }
    if rules.is_empty() {
        writeln!(out, "No rule names it: this is the default action.")?;
    }
    for (index, rule) in rules {
        let only =
            if rule.args.is_empty() { String::new() } else { format!(", if {}", conditions(rule)) };
        writeln!(out, "  syscalls[{index}]: {}{only}", rule.action)?;
        if !rule.comment.is_empty() {
            writeln!(out, "    {}", rule.comment)?;
        }
    }
    Ok(())
}
