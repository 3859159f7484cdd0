//! `bulkhead profile`: what was typed.

use std::path::PathBuf;

use bulkhead_seccomp::Arch;
use clap::{Args, Subcommand};

/// `bulkhead profile`
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct ProfileArguments {
    #[command(subcommand)]
    pub(crate) verb: ProfileVerb,
}

/// What to do with seccomp profiles. Where a file is wanted, the name of a built-in level does too.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileVerb {
    /// Say what is wrong with a profile, or will surprise
    #[command(after_help = "Examples:\n  bulkhead profile check app.json\n  \
        bulkhead profile check app.json --level untrusted --json\n\n\
        Exit status: 0 when nothing is wrong, 2 when something is, 64 when it is no profile.")]
    Check(CheckProfile),
    /// Say what profile A allows that profile B does not
    #[command(after_help = "Examples:\n  bulkhead profile diff app.json untrusted\n  \
        bulkhead profile diff trusted semi-trusted --json\n\n\
        Exit status: 0 when A allows nothing beyond B, 2 when it does, 64 when one is no profile.")]
    Diff(DiffProfiles),
    /// Say what a profile answers to a system call, and which rules say so
    #[command(after_help = "Examples:\n  bulkhead profile explain untrusted ptrace\n  \
        bulkhead profile explain app.json socket --args a0=38,a1=5 --arch aarch64")]
    Explain(ExplainCall),
    /// Print the profile of a level
    #[command(after_help = "Example:\n  bulkhead profile show untrusted > untrusted.json")]
    Show(ShowProfile),
    /// Write the levels' profiles to where the kubelet looks for them
    #[command(after_help = "Example:\n  bulkhead profile install\n\n\
        A pod then names one: seccompProfile: { type: Localhost, \
        localhostProfile: bulkhead/untrusted.json }")]
    Install(InstallProfiles),
    /// Merge profiles into one that allows what any of them allows
    #[command(
        after_help = "Example:\n  bulkhead profile merge monday.json tuesday.json -o app.json"
    )]
    Merge(MergeProfiles),
}

/// `bulkhead profile check`
#[derive(Debug, Args)]
pub(crate) struct CheckProfile {
    /// The profile: a file, `-` for standard input, or a level's name
    pub(crate) file: String,
    /// Hold it against this level: everything that it allows beyond is an error
    #[arg(long, value_name = "LEVEL")]
    pub(crate) level: Option<String>,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead profile diff`
#[derive(Debug, Args)]
pub(crate) struct DiffProfiles {
    /// The profile that is asked what it allows
    pub(crate) a: String,
    /// The profile that it is held against
    pub(crate) b: String,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead profile explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainCall {
    /// The profile: a file, `-` for standard input, or a level's name
    pub(crate) file: String,
    /// The call, by name
    pub(crate) call: String,
    /// Its arguments; those not given are 0
    #[arg(long, value_name = "a0=N,a1=N", value_delimiter = ',', value_parser = argument)]
    pub(crate) args: Vec<(usize, u64)>,
    /// x86_64, x86, x32, aarch64 or arm; the profile's own unless given
    #[arg(long, value_parser = architecture)]
    pub(crate) arch: Option<Arch>,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead profile show`
#[derive(Debug, Args)]
pub(crate) struct ShowProfile {
    /// trusted, semi-trusted or untrusted
    pub(crate) level: String,
}

/// `bulkhead profile install`
#[derive(Debug, Args)]
pub(crate) struct InstallProfiles {
    /// The kubelet's directory of seccomp profiles
    #[arg(long, default_value = "/var/lib/kubelet/seccomp", value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead profile merge`
#[derive(Debug, Args)]
pub(crate) struct MergeProfiles {
    /// The profiles
    #[arg(required = true, num_args = 2..)]
    pub(crate) files: Vec<String>,
    /// Where to write it; standard output unless given
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `a0=38` or `a0=0x26`
fn argument(text: &str) -> Result<(usize, u64), String> {
    let parts = text.split_once('=').and_then(|(name, value)| {
        let index: usize = name.strip_prefix('a')?.parse().ok().filter(|index| *index < 6)?;
        let value = match value.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok()?,
            None => value.parse().ok()?,
        };
        Some((index, value))
    });
    parts.ok_or_else(|| format!("{text:?} is no argument; write a0=38 or a1=0x800, a0 to a5"))
}

fn architecture(name: &str) -> Result<Arch, String> {
    Arch::named(name).ok_or_else(|| {
        let all: Vec<_> = Arch::ALL.iter().map(|arch| arch.as_str()).collect();
        format!("no architecture {name:?}; one of {}", all.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_decimal_or_hexadecimal_and_have_six_places() {
        assert_eq!(argument("a0=38"), Ok((0, 38)));
        assert_eq!(argument("a5=0xff"), Ok((5, 255)));
        for bad in ["a6=1", "0=1", "a1", "a1=x", "a1=0xfffffffffffffffff"] {
            assert!(argument(bad).is_err(), "{bad}");
        }
    }
}
