//! `bulkhead container`

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{shown, tenants::name_of};
use crate::{
    cli::ContainerArguments,
    control::{self, ContainerView, ControlView, LimitView, Request},
};

pub(super) fn run(arguments: &ContainerArguments) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let request = Request::Container { id: arguments.id.clone() };
    if arguments.json {
        let document: serde_json::Value = control::ask(&arguments.socket, &request)?;
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)?;
    } else {
        print(&control::ask(&arguments.socket, &request)?, &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(container: &ContainerView, out: &mut impl Write) -> io::Result<()> {
    let unknown = || "(unknown)".to_owned();
    let rows = [
        ("container", container.id.clone().unwrap_or_else(unknown)),
        ("name", name_of(container)),
        ("tenant", container.tenant.clone()),
        ("level", container.level.clone()),
        ("state", container.state.clone()),
        ("runtime", container.runtime.clone().unwrap_or_else(unknown)),
        ("cgroup", container.cgroup.clone().unwrap_or_else(unknown)),
        ("cgroup id", container.cgroup_id.to_string()),
    ];
    for (name, value) in rows {
        writeln!(out, "{name:<10} {}", shown(&value))?;
    }
    if !container.user_ids.is_empty() {
        writeln!(out, "{:<10} {}", "user ids", shown(&container.user_ids.join(" ")))?;
    }
    print_controls(&container.controls, out)?;
    if !container.capabilities_asked.is_empty() {
        let asked = shown(&container.capabilities_asked.join(" "));
        writeln!(out, "\nAsked for above the ceiling: {asked}")?;
    }
    print_limits(&container.limits, out)
}

/// A line a limit.
fn print_limits(limits: &[LimitView], out: &mut impl Write) -> io::Result<()> {
    if limits.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{:<18} {:<12} {:<28} IN FORCE", "LIMIT", "STATE", "AT MOST")?;
    for limit in limits {
        let LimitView { file, state, .. } = limit;
        let [desired, effective] = [&limit.desired, &limit.effective].map(|text| shown(text));
        writeln!(out, "{:<18} {state:<12} {desired:<28} {effective}", shown(file))?;
    }
    Ok(())
}

/// A line a control, and below each that is missing what brings it back.
fn print_controls(controls: &[ControlView], out: &mut impl Write) -> io::Result<()> {
    if controls.is_empty() {
        return writeln!(out, "\nIts controls have not been looked at yet.");
    }
    writeln!(out, "\n{:<18} {:<12} {:<28} IN FORCE", "CONTROL", "STATE", "ASKED FOR")?;
    for control in controls {
        let ControlView { control, state, desired, effective, remedy } = control;
        let desired = match desired.len() {
            0..=28 => shown(desired),
            _ => "at most the ceiling".to_owned(),
        };
        let effective = shown(effective);
        writeln!(out, "{control:<18} {state:<12} {desired:<28} {effective}")?;
        if let Some(remedy) = remedy {
            writeln!(out, "{:<18} -> {}", "", shown(remedy))?;
        }
    }
    Ok(())
}
