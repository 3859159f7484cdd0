//! `bulkhead profile`: what was typed.

use std::{path::PathBuf, time::Duration};

use bulkhead_seccomp::Arch;
use clap::{Args, Subcommand};

use crate::notify;

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
    /// Record the system calls that a container makes, and make a profile of them
    #[command(after_help = "Examples:\n  \
        bulkhead profile record --container 3f1c --for 10m -o app.json\n  \
        bulkhead profile record --container /kubepods/pod1234 --for 1h --level untrusted\n\n\
        Needs root, not the agent. While it records, every system call of the node is a little \
        slower. Ctrl-C ends it early. Exit status: 0 done, 2 when the container did what the level \
        does not allow, 1 an error.")]
    Record(RecordCalls),
    /// Say which calls of a running container a profile would refuse
    #[command(after_help = "Example, with the profile in log mode first:\n  \
        bulkhead profile relax app.json --level untrusted -o app-log.json\n  \
        ... start the pod with app-log.json ...\n  \
        bulkhead profile test app.json --container 3f1c --for 10m\n\n\
        Needs root, not the agent; slows every system call of the node a little meanwhile. \
        Exit status: 0 when it would refuse nothing, 2 when it would, 1 an error.")]
    Test(TestProfile),
    /// Print a form of a profile that logs what it would refuse, up to what the level allows
    #[command(after_help = "Example:\n  \
        bulkhead profile relax app.json --level untrusted -o app-log.json\n\n\
        The kernel logs each call that is let through (audit type 1326, SECCOMP).")]
    Relax(RelaxProfile),
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
    /// The form that has refused calls told to `bulkhead notify` behind this socket
    #[arg(long, value_name = "SOCKET", num_args = 0..=1, default_missing_value = notify::SOCKET)]
    pub(crate) notify: Option<String>,
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

/// `bulkhead profile record`
#[derive(Debug, Args)]
pub(crate) struct RecordCalls {
    /// The container's id, or the path of a cgroup: a pod's, and its containers are seen to start
    #[arg(long, value_name = "ID")]
    pub(crate) container: String,
    /// How long: 90s, 10m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Duration,
    /// The level that the profile must stay under
    #[arg(long, value_name = "LEVEL", default_value = "semi-trusted")]
    pub(crate) level: String,
    /// Where to write the profile; standard output unless given
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `bulkhead profile test`
#[derive(Debug, Args)]
pub(crate) struct TestProfile {
    /// The profile: a file, `-` for standard input, or a level's name
    pub(crate) file: String,
    /// The container's id, or the path of a cgroup
    #[arg(long, value_name = "ID")]
    pub(crate) container: String,
    /// How long: 90s, 10m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Duration,
    /// One JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bulkhead profile relax`
#[derive(Debug, Args)]
pub(crate) struct RelaxProfile {
    /// The profile: a file, `-` for standard input, or a level's name
    pub(crate) file: String,
    /// What this level refuses stays refused
    #[arg(long, value_name = "LEVEL")]
    pub(crate) level: String,
    /// Where to write it; standard output unless given
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
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

/// `90s`, `10m`, `2h`; at most a week.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let total = digits.parse::<u64>().ok().zip(seconds).and_then(|(n, unit)| n.checked_mul(unit));
    match total {
        Some(total @ 1..=604_800) => Ok(Duration::from_secs(total)),
        _ => Err(format!("{text:?} is no time; write 90s, 10m or 2h, at most a week")),
    }
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
    fn a_time_has_a_unit_and_an_end() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for bad in ["10", "m", "0s", "8d", "169h", "99999999999999999999s", "-1s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_are_decimal_or_hexadecimal_and_have_six_places() {
        assert_eq!(argument("a0=38"), Ok((0, 38)));
        assert_eq!(argument("a5=0xff"), Ok((5, 255)));
        for bad in ["a6=1", "0=1", "a1", "a1=x", "a1=0xfffffffffffffffff"] {
            assert!(argument(bad).is_err(), "{bad}");
        }
    }
}
