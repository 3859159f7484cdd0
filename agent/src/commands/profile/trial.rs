//! `bulkhead profile test` and `relax`

use std::{io::Write, process::ExitCode};

use bulkhead_seccomp::learn;

use super::{FOUND, hand_out, print_json, record, source};
use crate::{
    cli::profile::{RelaxProfile, TestProfile},
    node::privilege,
};

pub(super) fn test(arguments: &TestProfile) -> anyhow::Result<ExitCode> {
    privilege::require()?;
    let profile = source::simulation(&arguments.file)?;
    let (observed, unnamed) = record::watch(&arguments.container, arguments.duration)?;
    let refused = learn::would_refuse(&observed, &profile)?;
    if arguments.json {
        print_json(&serde_json::json!({
            "file": arguments.file,
            "container": arguments.container,
            "callsSeen": observed.calls.len(),
            "callsUnnamed": unnamed,
            "wouldRefuse": refused,
        }))?;
    } else {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{} different calls were seen", observed.calls.len())?;
        for one in &refused {
            let value = one.value.map_or_else(String::new, |value| format!(" with {value:#x}"));
            let (call, arch, count) = (&one.call, one.architecture, one.count);
            writeln!(out, "  {call}{value} on {arch}, seen {count} times: {}", one.answer)?;
        }
        writeln!(out, "{} would refuse {} of them", arguments.file, refused.len())?;
    }
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

pub(super) fn relax(arguments: &RelaxProfile) -> anyhow::Result<ExitCode> {
    let profile = source::read(&arguments.file)?.profile;
    let level = source::level(&arguments.level)?;
    hand_out(&learn::relaxed(&profile, level.profile()), arguments.output.as_deref())?;
    Ok(ExitCode::SUCCESS)
}
