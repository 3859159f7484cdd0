//! `bulkhead-cri`: starts pods the way a kubelet would, so that the tests need neither a kubelet
//! nor a registry.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use self::arguments::{Arguments, Verb};
use self::client::Client;

mod arguments;
mod client;
mod container;
mod logs;
mod pod;
mod verbs;

/// The CRI messages, as compiled by build.rs.
#[allow(missing_docs, unreachable_pub, clippy::all)] // Generated.
mod cri {
    tonic::include_proto!("runtime.v1");
}

/// What this program exits with when it could not do its work; `exec` and `wait` exit otherwise
/// with the status of the command.
const CANNOT: u8 = 125;

fn main() -> ExitCode {
    match perform(&Arguments::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("bulkhead-cri: {error:#}");
            ExitCode::from(CANNOT)
        }
    }
}

fn perform(arguments: &Arguments) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start an async runtime")?;
    runtime.block_on(async {
        let mut client = Client::connect(&arguments.socket)?;
        match &arguments.verb {
            Verb::Run(run) => verbs::run(&mut client, run).await,
            Verb::Exec { container, timeout, command } => {
                verbs::exec(&mut client, container, *timeout, command).await
            }
            Verb::Logs { container } => verbs::logs(&mut client, container).await,
            Verb::Wait { container, timeout } => {
                verbs::wait(&mut client, container, *timeout).await
            }
            Verb::Ps => verbs::list(&mut client).await,
            Verb::Rm { ids, all } => verbs::remove(&mut client, ids, *all).await,
            Verb::Images => verbs::images(&mut client).await,
            Verb::Version { wait } => verbs::version(&mut client, *wait).await,
        }
    })
}
