//! `bulkhead freeze` and `bulkhead thaw`

use std::{
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{shown, tenants::name_of};
use crate::{
    cli::{FreezeArguments, ThawArguments},
    control::{self, ContainerView, Request},
};

/// How long every process of a container may take to stand still.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn freeze(arguments: &FreezeArguments) -> anyhow::Result<ExitCode> {
    let reason = arguments.reason.clone();
    let request = Request::Freeze { id: arguments.id.clone(), reason };
    let mut container: ContainerView = control::ask(&arguments.socket, &request)?;
    // By its cgroup's path: whole, and no other container's.
    let id = container.cgroup.clone().unwrap_or_else(|| arguments.id.clone());
    let begun = Instant::now();
    while container.state == "freezing" && begun.elapsed() < PATIENCE {
        sleep(Duration::from_millis(20));
        let request = Request::Container { id: id.clone() };
        container = control::ask(&arguments.socket, &request)?;
    }
    tell(&container);
    let short = shown(container.id.as_deref().unwrap_or(&id));
    println!("The evidence log names the capture. `bulkhead thaw {short}` lets it go on.");
    let frozen = container.state == "frozen";
    Ok(if frozen { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn thaw(arguments: &ThawArguments) -> anyhow::Result<ExitCode> {
    let request = Request::Thaw { id: arguments.id.clone() };
    tell(&control::ask(&arguments.socket, &request)?);
    Ok(ExitCode::SUCCESS)
}

fn tell(container: &ContainerView) {
    let tenant = shown(&container.tenant);
    println!("{} of tenant {tenant}: {}", name_of(container), shown(&container.state));
}
