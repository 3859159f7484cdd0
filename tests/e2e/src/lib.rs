//! End-to-end tests that run inside the guest node, and what they share.
//!
//! `cargo xtask e2e` takes them there, one boot for each file below `tests/`; `Cargo.toml` says on
//! which nodes. The agent and the CRI client are the programs on the node's PATH, used as a person
//! would use them: what these tests know of the agent is what its outside shows.
//!
//! ```text
//! node      the node that a test runs on, which it has for itself
//! agent     one running agent: start, configure, kill
//! pod       containers by the CRI, and commands inside them
//! beacon    a container that tells when all reports have arrived
//! cast      an agent and containers of three tenants, for tests that share them
//! breakout  what an attacker types, and the rule that answers
//! in_force  what the kernel holds a container to
//! evidence  the evidence log, and waiting for what must come into it
//! programs  the image of ordinary programs
//! metrics   /metrics, /readyz
//! ```

pub mod agent;
pub mod beacon;
pub mod breakout;
pub mod cast;
pub mod evidence;
pub mod in_force;
pub mod metrics;
pub mod node;
pub mod pod;
pub mod programs;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long to wait for what must come. The guest has no hardware help and its host may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until `look` gives something.
///
/// # Errors
/// When [`PATIENCE`] is over, with `what` was waited for.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_long(what, PATIENCE, look)
}

/// The same for what may take longer.
///
/// # Errors
/// When this patience is over, with `what` was waited for.
pub fn wait_long<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begun.elapsed() > patience {
            bail!("waited {patience:?} in vain for {what}");
        }
        std::thread::sleep(LOOK);
    }
}
