//! `bulkhead notify`

use std::process::ExitCode;

use anyhow::Context;

use crate::{
    cli::NotifyArguments,
    node::privilege,
    notify::{self, Relay},
};

pub(super) fn run(arguments: &NotifyArguments) -> anyhow::Result<ExitCode> {
    if arguments.supervise {
        notify::supervise(&arguments.socket)?;
        return Ok(ExitCode::SUCCESS);
    }
    super::run::start_logging()?;
    privilege::require()?;
    let relay = Relay::new(arguments.agent.clone()).context("cannot start a thread")?;
    notify::watch(&arguments.socket, relay)?;
    Ok(ExitCode::SUCCESS)
}
