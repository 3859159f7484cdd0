//! What each command does. Each composes the rooms; none does their work.

mod apparmor;
mod check;
mod container;
mod doctor;
mod freeze;
mod notify;
mod profile;
mod prove;
mod run;
mod runtime;
mod schema;
mod tenants;
mod unload;

use std::process::ExitCode;

use bulkhead_policy::configuration::Refused;

pub(crate) use runtime::RuntimeArguments;

use crate::{apparmor::CompileError, cli::Command, settings::SettingsError};

/// sysexits.h: EX_USAGE, for a bad configuration.
const BAD_CONFIGURATION: u8 = 64;
/// Some rule cannot refuse on this node.
const NOT_ENFORCED: u8 = 3;

/// Runs a command.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Prove(arguments) => prove::run(&arguments),
        Command::Act(arguments) => prove::act(&arguments),
        Command::Tenants(arguments) => tenants::run(&arguments),
        Command::Container(arguments) => container::run(&arguments),
        Command::Freeze(arguments) => freeze::freeze(&arguments),
        Command::Thaw(arguments) => freeze::thaw(&arguments),
        Command::CaptureProcesses => crate::respond::inspect::run(),
        Command::Notify(arguments) => notify::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::AppArmor(arguments) => apparmor::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Unload(arguments) => unload::run(&arguments),
        Command::Schema => schema::run(),
        Command::Runtime(arguments) => runtime::run(&arguments),
    }
}

/// The exit status for an error.
pub(crate) fn exit_code_of(error: &anyhow::Error) -> ExitCode {
    let refused = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<SettingsError>()
            || cause.is::<Refused>()
            || cause.is::<bulkhead_seccomp::ParseError>()
            || matches!(cause.downcast_ref(), Some(CompileError::Refused { .. }))
    };
    if error.chain().any(refused) { ExitCode::from(BAD_CONFIGURATION) } else { ExitCode::FAILURE }
}

/// Text from the agent as a terminal may see it: names are escaped where they are made, and once
/// more here, because what answers might not be the agent.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(plain).collect()
}
