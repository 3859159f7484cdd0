//! The agent as a plugin of the node's container runtime (NRI).
//!
//! A thread of its own answers the runtime from memory: every container of the node waits for the
//! answer, and must not wait for the agent's loop. The thread knows the policy and what the node has
//! ([`Standing`]), which the loop publishes, and tells the loop what concerns it ([`Word`]).

mod plugin;
mod resources;
mod seccomp;

use std::{path::PathBuf, sync::Arc, thread, time::Duration};

use bulkhead_nri::Backoff;
use bulkhead_policy::{
    Policy,
    catalogue::Severity,
    limits::{TenantLimits, Total},
};
use tokio::sync::{mpsc, oneshot, watch};

use self::plugin::Agent;
use crate::{report::metrics::Metrics, workloads::Announced};

/// The plugin's name, as the runtime and its validators know it.
pub(crate) const NAME: &str = "bulkhead";
/// Plugins are called in this order: late, when others have said what they want.
const INDEX: &str = "95";
/// Words that may wait for the loop.
const WAITING: usize = 1_024;

/// What the plugin answers from.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The policy in force.
    pub(crate) policy: Arc<Policy>,
    /// What the containers of each tenant with a sum ask for.
    pub(crate) asks: Vec<(String, Vec<Total>)>,
}

impl Standing {
    /// What a further container of this tenant may have of the tenant's sum.
    fn part(&self, tenant: &str, limits: TenantLimits, ask: Total) -> Total {
        let asks = self.asks.iter().find(|(name, _)| name == tenant);
        let mut all: Vec<Total> = asks.map(|(_, asks)| asks.clone()).unwrap_or_default();
        all.push(ask);
        crate::enforce::parts(limits, &all).pop().unwrap_or_default()
    }
}

/// What the plugin tells the loop.
pub(crate) enum Word {
    /// The container whose cgroup is at this path is about to be started: it is to be named now, and
    /// the answer says that this is done.
    Name {
        /// The cgroup below the mount.
        path: String,
        /// Where the runtime waits.
        answer: oneshot::Sender<()>,
    },
    /// Something for the log.
    Notice {
        /// How bad it is.
        severity: Severity,
        /// A sentence.
        message: String,
    },
}

/// The plugin's end at the loop.
pub(crate) struct Runtime {
    /// What the plugin says.
    pub(crate) words: mpsc::Receiver<Word>,
    /// What it answers from.
    pub(crate) standing: watch::Sender<Arc<Standing>>,
}

impl Runtime {
    /// Starts the plugin's thread, which lives as long as the agent.
    pub(crate) fn start(
        socket: PathBuf,
        standing: Standing,
        announced: Announced,
        metrics: Arc<Metrics>,
        cgroups: PathBuf,
    ) -> std::io::Result<Self> {
        let (standing, reader) = watch::channel(Arc::new(standing));
        let (sender, words) = mpsc::channel(WAITING);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut agent = Agent::new(reader, announced, sender, metrics, cgroups);
        thread::Builder::new().name("runtime".to_owned()).spawn(move || {
            let forever = bulkhead_nri::run(&mut agent, &socket, NAME, INDEX, Backoff::default());
            match runtime.block_on(forever) {}
        })?;
        Ok(Self { words, standing })
    }
}

/// How long a container's start waits for its name. The runtime gives two seconds for all.
const NAMING: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
