//! `bulkhead`: one privileged agent per node.
mod kernel;
#[allow(dead_code, reason = "wired by the next commits")]
mod node;
mod prove;
#[allow(dead_code, reason = "wired by the next commits")]
mod report;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(version)]
enum Command {
    /// This node's ladder.
    Doctor,
    /// Harmless breakouts, tried at each level: blocked, seen or missed.
    Prove(prove::Options),
    #[command(hide = true)]
    Act(prove::ActArguments),
}

fn main() -> anyhow::Result<ExitCode> {
    let out = &mut std::io::stdout();
    match Command::parse() {
        Command::Doctor => {
            let guard = kernel::Guard::load()?;
            println!("{}", serde_json::to_string_pretty(guard.ladder())?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Act(arguments) => prove::act(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Prove(options) if options.list => {
            prove::list(out)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Prove(options) if options.unguarded => {
            Ok(prove::run_unguarded(&options, out)?.into())
        }
        Command::Prove(options) => {
            let levels = prove::asked_for(&options)?;
            let mut guard = kernel::Guard::load()?;
            for file in bulkhead_policy::sensitive::ALL {
                let access = match file.access {
                    bulkhead_policy::sensitive::Access::Write => {
                        bulkhead_guard::files::Access::Write
                    }
                    bulkhead_policy::sensitive::Access::Any => bulkhead_guard::files::Access::Any,
                };
                guard.set_sensitive(file.key(), bulkhead_guard::files::pack(file.rule, access))?;
            }
            let mut engine = prove::Guarded::new(guard)?;
            Ok(prove::run(&options, &levels, &mut engine, out)?.into())
        }
    }
}
