//! What must hold wherever bytes arrive that somebody else wrote. A target takes any bytes, panics where a
//! promise is broken, and says whether the bytes got past the door.
//!
//! `cargo xtask fuzz` looks for bytes that break one, led by what code they reach; `seeds/TARGET` is where it
//! begins, `words/TARGET.dict` what it puts in. `cargo test -p bulkhead-fuzz` only tries the seeds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a target says what it expects by failing"
)]

mod cgroup_path;
mod configuration;
mod kernel_record;
mod nri_session;
mod runtime;
mod seccomp_profile;
mod seeds;

pub use seeds::seeds;

/// One way in.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called, also among the seeds.
    pub name: &'static str,
    /// Tries some bytes: true if they were taken for what they should be.
    pub run: fn(&[u8]) -> bool,
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "cgroup_path", run: cgroup_path::run },
    Target { name: "configuration", run: configuration::run },
    Target { name: "kernel_record", run: kernel_record::run },
    Target { name: "nri_session", run: nri_session::run },
    Target { name: "runtime_config", run: runtime::config },
    Target { name: "runtime_exec", run: runtime::exec },
    Target { name: "seccomp_profile", run: seccomp_profile::run },
];

/// The target of this name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
