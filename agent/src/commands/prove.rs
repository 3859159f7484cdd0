//! `bulkhead prove` and its hidden half.

use std::process::ExitCode;

use anyhow::Context;

use crate::{
    kernel::Guard,
    node::privilege,
    prove::{self, ActArguments, Guarded, Options},
};

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let out = &mut std::io::stdout();
    if options.list {
        prove::list(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.unguarded {
        return Ok(prove::run_unguarded(options, out)?.into());
    }
    privilege::require()?;
    let levels = prove::asked_for(options)?;
    let guard = Guard::load().context("cannot load the guard")?;
    let mut engine = Guarded::new(guard)?;
    Ok(prove::run(options, &levels, &mut engine, out)?.into())
}

pub(super) fn act(arguments: &ActArguments) -> anyhow::Result<ExitCode> {
    prove::act(arguments)?;
    Ok(ExitCode::SUCCESS)
}
