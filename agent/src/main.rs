//! `bulkhead`: one privileged agent per node that keeps tenants apart.
//!
//! ```text
//! cli         what was typed
//! commands    what each command does, composed from the rooms below
//! settings    the configuration file: read, watched, kept when the new one is bad
//! node        this machine: privileges, the one instance, the cgroup tree, clocks, the heap
//! workloads   which container each cgroup is, and whose
//! lineage     which programs the processes of containers run
//! respond     containers that are frozen, and what they were doing; containers that are ended
//! runtime     the plugin of the container runtime: limits and names before a container is made
//! enforce     limits held by cgroup files; pressure, and who causes it
//! control     the socket by which commands ask the running agent
//! kernel      the boundary to the kernel: programs, maps, rings, the ladder
//! verify      what is in force in each container, against what its level requires
//! watch       records to events: decode, enrich, report
//! report      the outward side: evidence log, metrics, HTTP
//! notify      calls that a profile refuses and tells
//! profiles    seccomp profiles on this node
//! apparmor    AppArmor profiles on this node: compiled, loaded, replaced, listed, kept
//! prove       harmless breakouts, and what became of them
//! wrapper     what the runtime wrapper is told, and how it comes onto the node
//! ```

mod apparmor;
mod cli;
mod commands;
mod control;
mod enforce;
mod kernel;
mod lineage;
mod node;
mod notify;
mod profiles;
mod prove;
mod report;
mod respond;
mod runtime;
mod settings;
mod verify;
mod watch;
mod workloads;
mod wrapper;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bulkhead: {}", told(&error));
            commands::exit_code_of(&error)
        }
    }
}

/// An error and its causes. Many a message holds its cause already, for where it is told alone.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let source = std::io::Error::from_raw_os_error(2);
        let error = settings::SettingsError::Read { path: "/no/file".into(), source };
        let text = told(&anyhow::Error::new(error));
        assert_eq!(text.matches("(os error 2)").count(), 1, "{text}");
        let error = anyhow::anyhow!("inner").context("outer");
        assert_eq!(told(&error), "outer: inner");
    }
}
