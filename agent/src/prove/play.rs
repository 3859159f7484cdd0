//! The child's side: a process that does one act and says what came of it, and the one that lends
//! itself as a target.

use std::os::fd::AsFd;

use anyhow::{Context, bail};

use super::{
    actor::{Actor, KEPSAKE, Line, TargetProcess, say},
    acts, lend, sys,
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

/// Keeps still, but for what it is asked to lend, until standard input ends, which is when `prove`
/// ends.
fn stand_by() -> anyhow::Result<()> {
    let kept = Box::new(KEPSAKE);
    let address = std::ptr::from_ref::<[u8; 16]>(std::hint::black_box(&kept)).addr();
    let open = lend::Doors::open(std::process::id())?;
    let target = TargetProcess {
        pid: i32::try_from(std::process::id())?,
        buffer: u64::try_from(address)?,
        memory: sys::shared_memory().context("a shared memory segment")?,
        key: sys::own_key(c"bulkhead-prove").ok(),
    };
    say(&Line::Ready { target })?;
    lend::serve(std::io::stdin().as_fd())?;
    drop(open);
    anyhow::ensure!(*kept == KEPSAKE, "the target's memory was changed");
    Ok(())
}
