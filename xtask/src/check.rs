//! `cargo xtask check`: everything that can be judged without running the product.
//!
//! A check finds faults, or nothing, or says why it could not look; all of them are run, whatever
//! the others found.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use self::tree::Tree;

mod cargo;
mod manifests;
mod scripts;
mod text;
mod tree;

/// The first word of every progress line.
const AREA: &str = "check";

/// What the task exits with when a check found something.
const FAULTY: u8 = 1;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The checks to run; all if none is named
    #[arg(value_enum)]
    checks: Vec<Check>,
}

/// One thing that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Files are of a length that a person reads in one sitting
    Lengths,
    /// No address, path or name that ties the repository to one machine
    Ties,
    /// Every member binds itself to the workspace's lints, and none allows unsafe code as a whole
    Manifests,
    /// Shell scripts parse, and shellcheck has nothing to say
    Scripts,
    /// Rust code is formatted
    Format,
    /// Clippy has nothing to say on the workspace
    Clippy,
    /// Clippy has nothing to say on the kernel side; each unsafe block says why it is sound
    KernelClippy,
    /// The committed object is what the kernel side's sources give
    Object,
    /// Licences, bans and sources of all dependencies are as deny.toml says
    Dependencies,
}

/// How a check ended.
#[derive(Debug)]
enum Finding {
    /// Nothing to say.
    Clean,
    /// What is wrong, a line each; empty if a tool has told it already.
    Faults(Vec<String>),
    /// Not looked at, with the reason.
    Skipped(String),
}

impl Finding {
    /// Clean if there is no line.
    fn of(lines: Vec<String>) -> Self {
        if lines.is_empty() { Self::Clean } else { Self::Faults(lines) }
    }
}

impl Check {
    fn run(self, tree: &Tree) -> Result<Finding> {
        match self {
            Self::Lengths => text::lengths(tree),
            Self::Ties => text::ties(tree),
            Self::Manifests => manifests::check(tree),
            Self::Scripts => scripts::check(tree),
            Self::Format => cargo::format(),
            Self::Clippy => cargo::clippy(),
            Self::KernelClippy => cargo::kernel_clippy(),
            Self::Object => cargo::object(),
            Self::Dependencies => cargo::dependencies(),
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Does what the command line asked for.
pub(crate) fn perform(arguments: &Arguments) -> Result<ExitCode> {
    let checks =
        if arguments.checks.is_empty() { Check::value_variants() } else { &arguments.checks };
    let tree = Tree::of_repository()?;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (number, check) in checks.iter().enumerate() {
        let begun = Instant::now();
        // A check that could not be made is told as a fault of its own, and the others go on.
        let finding =
            check.run(&tree).unwrap_or_else(|error| Finding::Faults(vec![format!("{error:#}")]));
        let word = match finding {
            Finding::Clean => {
                passed += 1;
                "ok".to_owned()
            }
            Finding::Faults(lines) => {
                failed += 1;
                lines.iter().for_each(|line| eprintln!("{AREA}:   {line}"));
                "FAILED".to_owned()
            }
            Finding::Skipped(reason) => {
                skipped += 1;
                format!("skipped: {reason}")
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        let place = format!("{}/{}", number + 1, checks.len());
        eprintln!("{AREA}: [{place}] {} {word} ({seconds:.1} s)", check.name());
    }
    println!("{AREA}: {passed} passed, {failed} failed, {skipped} skipped");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAULTY) })
}
