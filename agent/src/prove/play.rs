//! The child's side: a process that does one act and says what came of it, and the one that lends
//! itself as a target.

use std::io::Read;

use anyhow::{Context, bail};

use super::{
    actor::{Actor, KEPSAKE, Line, say},
    acts,
};

/// The hidden behaviour name under which the target runs.
pub(crate) const TARGET: &str = "target";

/// Runs one child: the named behaviour, or the target.
pub(crate) fn play(name: &str, scene: &str) -> anyhow::Result<()> {
    if name == TARGET {
        return stand_by();
    }
    let scene = serde_json::from_str(scene).context("the scene is not what prove writes")?;
    let Some(behaviour) = acts::named(name) else {
        bail!("no behaviour is called {name:?}; `bulkhead prove --list` lists them");
    };
    let report = (behaviour.act)(&Actor::in_scene(scene));
    say(&report.into_line())
}

/// Keeps still until standard input ends, which is when `prove` ends.
fn stand_by() -> anyhow::Result<()> {
    let kept = Box::new(KEPSAKE);
    let address = std::ptr::from_ref::<[u8; 16]>(std::hint::black_box(&kept)).addr();
    say(&Line::Ready { buffer: u64::try_from(address)? })?;
    let mut rest = Vec::new();
    std::io::stdin().lock().read_to_end(&mut rest).context("standard input")?;
    anyhow::ensure!(*kept == KEPSAKE, "the target's memory was changed");
    Ok(())
}
