//! `bulkhead-bench`: measures single operations and prints nanoseconds per operation, one JSON
//! object a line.
//!
//! With `--agent CONFIGURATION` it starts the agent and measures that instead.
//!
//! It is meant for a guest under QEMU's `-icount shift=0`, where a nanosecond is an instruction and
//! the figures repeat. `cargo xtask bench` runs it there.

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use serde_json::json;

use self::clock::Measure;

mod agent;
mod clock;
mod files;
mod load;
mod memory;
mod processes;
mod sockets;

/// The argument with which the program calls itself to measure an exec: it then does nothing.
const NOTHING: &str = "--nothing";
/// The argument with which the program calls itself to act as a tenant does.
const ACTS: &str = "--acts";
/// The argument that has the agent itself measured.
const AGENT: &str = "--agent";

/// One operation: its name, and what measures it.
type Operation = (&'static str, fn() -> Result<Measure>);

const OPERATIONS: &[Operation] = &[
    ("getpid", processes::getpid),
    ("read", files::read),
    ("openat+close", files::open_close),
    ("stat", files::stat),
    ("mmap+munmap", memory::mmap),
    ("connect", sockets::connect),
    ("accept", sockets::accept),
    ("signal to self", processes::signal),
    ("signal and back", processes::signal_and_back),
    ("fork+exit", processes::fork),
    ("fork+exec", processes::fork_exec),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        [] => measure_all(),
        [NOTHING] => Ok(()),
        [ACTS, family] => load::acts(family),
        [AGENT, configuration] => agent::measure(configuration),
        _ => Err(anyhow!("usage: bulkhead-bench [{AGENT} CONFIGURATION]")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulkhead-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all() -> Result<()> {
    for (name, operation) in OPERATIONS {
        let measure = operation().with_context(|| format!("cannot measure {name}"))?;
        println!(
            "{}",
            json!({"operation": name, "ns": measure.median(), "rounds": measure.rounds()})
        );
    }
    Ok(())
}
