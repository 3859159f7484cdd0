//! Development tasks, called as `cargo xtask TASK`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod cache;
mod check;
mod command;
mod debian;
mod demo;
mod e2e;
mod ebpf;
mod fuzz;
mod guest;
mod progress;
mod side_by_side;

/// Development tasks of Bulkhead.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Everything static: formatting, lints, the committed object, lengths, scripts
    Check(check::Arguments),
    /// The main job, shown: this machine's kernel, then two tenants on a guest node
    Demo(demo::Arguments),
    /// The end-to-end tests, each file in a guest node of its own
    E2e(e2e::Arguments),
    /// Bytes that break a promise, looked for by libFuzzer, a bounded time a target
    Fuzz(fuzz::Arguments),
    /// Build the kernel side into the committed object, or check that it is up to date
    Ebpf(ebpf::Arguments),
    /// A Debian node in QEMU, with the built agent on its PATH
    Guest(guest::Arguments),
    /// What operations cost in instructions, with and without the agent
    Bench(bench::Arguments),
}

/// What a task that could not do its work exits with; see `guest run --help`.
const CANNOT: u8 = 125;

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Check(arguments) => check::perform(&arguments),
        Task::Demo(arguments) => demo::perform(&arguments),
        Task::E2e(arguments) => e2e::perform(&arguments),
        Task::Ebpf(arguments) => ebpf::perform(&arguments),
        Task::Fuzz(arguments) => fuzz::perform(&arguments),
        Task::Guest(arguments) => guest::perform(arguments),
        Task::Bench(arguments) => bench::perform(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::from(CANNOT)
    })
}
