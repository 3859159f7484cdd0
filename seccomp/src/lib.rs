//! Seccomp profiles as Bulkhead sees them.
//!
//! ```text
//! profile    what a profile says: actions, rules, conditions (the OCI form, and moby's)
//! parse      bytes to profile, within bounds; an error names line and field
//! calls      names and numbers of system calls
//! compile    profile to filter, by libseccomp, as the runtimes do it
//! bpf        the filter, run: a small interpreter of classic BPF
//! simulate   what a profile answers to a call; for calls newer than libseccomp, what it says
//! probe      the argument values at which a profile may change its answer
//! diff       what one profile allows that another does not
//! check      what is wrong with a profile, or will surprise
//! levels     the built-in profiles
//! learn      calls that were seen, to a profile under a level's ceiling
//! write      profile to text that people read
//! ```
//!
//! Nothing here installs a filter or talks to a kernel: what a profile does is found out by running
//! the compiled filter on made-up calls.

pub mod bpf;
pub mod calls;
pub mod check;
pub mod compile;
pub mod diff;
pub mod learn;
pub mod levels;
pub mod parse;
pub mod probe;
pub mod profile;
pub mod simulate;
pub mod write;

pub use calls::Arch;
pub use parse::{ParseError, Parsed, parse};
pub use profile::{Action, Profile, Rule};
pub use simulate::Simulation;
