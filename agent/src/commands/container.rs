//! `bulkhead container`

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{shown, tenants::name_of};
use crate::{
    cli::ContainerArguments,
    control::{self, ContainerView, Request},
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
    Ok(())
}
