//! `bulkhead apparmor`: what was typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `bulkhead apparmor`
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct AppArmorArguments {
    #[command(subcommand)]
    pub(crate) verb: AppArmorVerb,
}

/// What to do with AppArmor profiles. None of it asks the agent.
#[derive(Debug, Subcommand)]
pub(crate) enum AppArmorVerb {
    /// List what is loaded, how it holds, and whom
    #[command(after_help = "Examples:\n  bulkhead apparmor list\n  \
        bulkhead apparmor list --all --json | jq '.profiles[] | select(.mode != \"enforce\")'\n\n\
        Exit status: 0 done, 1 an error, AppArmor that is not active among them.")]
    List(ListProfiles),
    /// Compile a profile and say what is in it, without loading it
    #[command(after_help = "Example:\n  bulkhead apparmor check web.profile\n\n\
        Needs neither root nor AppArmor. Exit status: 0 when the parser takes it, 64 when it does \
        not (with the parser's line), 1 on another error, a parser that is missing among them.")]
    Check(CheckAppArmor),
    /// Load a profile, or the levels' own; with --replace under the containers that it holds
    #[command(after_help = "Examples:\n  bulkhead apparmor load\n  \
        bulkhead apparmor load web.profile\n  bulkhead apparmor load web.profile --replace\n\n\
        A file is loaded as a whole or not at all, and what was in force stays in force when it is \
        not. Exit status: 0 done, 64 when the parser does not take it, 1 on another error.")]
    Load(LoadAppArmor),
    /// Remove a profile that holds nobody
    #[command(after_help = "Example:\n  bulkhead apparmor unload web\n\n\
        A profile that holds a process, or that a container names which is about to start, stays: \
        without it they would be unconfined. Exit status: 0 done, 1 when it stays or on an error.")]
    Unload(UnloadAppArmor),
    /// Print the profile of a level
    #[command(after_help = "Example:\n  \
        bulkhead apparmor show untrusted | sed s/bulkhead-untrusted/web/ > web.profile")]
    Show(ShowAppArmor),
}

/// `bulkhead apparmor list`
#[derive(Debug, Args)]
pub(crate) struct ListProfiles {
    /// Those too that hold nobody and are not Bulkhead's
    #[arg(long)]
    pub(crate) all: bool,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead apparmor check`
#[derive(Debug, Args)]
pub(crate) struct CheckAppArmor {
    /// The profile: a file in AppArmor's language
    pub(crate) file: PathBuf,
    /// Where apparmor_parser is; where distributions have it unless given
    #[arg(long, value_name = "PATH")]
    pub(crate) parser: Option<PathBuf>,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead apparmor load`
#[derive(Debug, Args)]
pub(crate) struct LoadAppArmor {
    /// The profile: a file in AppArmor's language; the levels' profiles unless given
    pub(crate) file: Option<PathBuf>,
    /// Put it in the place of a profile of the same name, under whom that holds
    #[arg(long)]
    pub(crate) replace: bool,
    /// Even where it refuses nothing any more (complain, unconfined) and holds somebody
    #[arg(long, requires = "replace")]
    pub(crate) loosen: bool,
    /// Where apparmor_parser is; where distributions have it unless given
    #[arg(long, value_name = "PATH")]
    pub(crate) parser: Option<PathBuf>,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead apparmor unload`
#[derive(Debug, Args)]
pub(crate) struct UnloadAppArmor {
    /// Its name, as `list` shows it
    pub(crate) name: String,
}

/// `bulkhead apparmor show`
#[derive(Debug, Args)]
pub(crate) struct ShowAppArmor {
    /// trusted, semi-trusted or untrusted
    pub(crate) level: String,
}
