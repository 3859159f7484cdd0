//! Where a profile comes from: a file, standard input, or the name of a level.

use std::io::Read;

use anyhow::Context;
use bulkhead_seccomp::{Parsed, Simulation, levels, parse, parse::MAX_BYTES};

/// Reads a profile. A file of that name goes before a level.
pub(super) fn read(name: &str) -> anyhow::Result<Parsed> {
    let bytes = match (name, levels::text(name)) {
        ("-", _) => bounded(std::io::stdin().lock()).context("cannot read standard input")?,
        (name, Some(text)) if !std::path::Path::new(name).exists() => text.as_bytes().to_vec(),
        _ => {
            let file = std::fs::File::open(name).with_context(|| {
                format!(
                    "cannot open the profile {name}; give a file, or one of {}",
                    levels::LEVELS.join(", ")
                )
            })?;
            bounded(file).with_context(|| format!("cannot read {name}"))?
        }
    };
    parse(&bytes).with_context(|| format!("{name} is no seccomp profile"))
}

/// Reads and compiles a profile.
pub(super) fn simulation(name: &str) -> anyhow::Result<Simulation> {
    let parsed = read(name)?;
    Simulation::of(&parsed.profile).with_context(|| format!("cannot compile {name}"))
}

/// The profile of a level, compiled.
pub(super) fn level(name: &str) -> anyhow::Result<Simulation> {
    let profile = levels::profile(name).with_context(|| {
        format!("no level {name:?} has a profile; one of {}", levels::LEVELS.join(", "))
    })??;
    Ok(Simulation::of(&profile)?)
}

/// One byte more than a profile may have: enough to see that it has too many.
fn bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
