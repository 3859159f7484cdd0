//! An agent and containers of every level on both runtimes, for tests that share them.

use anyhow::{Context, Result};

use crate::{
    agent::{Agent, Home},
    beacon::Beacon,
    evidence::Event,
    node::Node,
    pod::{Container, Wish},
};

pub use crate::beacon::is_of;

/// Three tenants, one of each level. `lab` and `beacon` are namespaces that no tenant claims.
pub const TENANTS: &str = "tenants:
  - { name: team-a, level: untrusted, namespaces: [team-a] }
  - { name: team-b, level: semi-trusted, namespaces: [team-b] }
  - { name: team-c, level: trusted, namespaces: [team-c] }
";

/// All that a container may be given: what its tenant could do, were it not for the agent. The
/// agent's program is at hand inside, for acts that no shell command does.
pub const MIGHTY: &[&str] =
    &["--privileged", "--host-pid", "--mount", "/share/bulkhead:/opt/bulkhead-program:ro"];

/// An agent beside a running runtime, in a home of its own: `tenants` are the lines that its configuration
/// has of them.
///
/// # Errors
/// When one of them does not come up.
pub fn started(node: &Node, name: &str, tenants: &str) -> Result<(Home, Agent)> {
    node.start_runtime()?;
    let home = Home::new(name)?;
    home.write(&home.configuration(tenants))?;
    let agent = Agent::start(&home)?;
    Ok((home, agent))
}

/// The two containers of a tenant.
#[derive(Debug)]
pub struct Pair {
    /// An ordinary one, on runc.
    pub plain: Container,
    /// One that may do everything, on crun.
    pub mighty: Container,
}

/// Everybody on stage.
#[derive(Debug)]
pub struct Cast {
    /// Where the agent's things are.
    pub home: Home,
    /// The agent.
    pub agent: Agent,
    /// Of `team-a`.
    pub untrusted: Pair,
    /// Of `team-b`.
    pub semi_trusted: Pair,
    /// Of `team-c`.
    pub trusted: Pair,
    /// As mighty as can be, on runc, and nobody's.
    pub stranger: Container,
    beacon: Beacon,
}

impl Cast {
    /// Starts the runtime, the agent, then the containers.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn assemble(node: &Node, name: &str) -> Result<Self> {
        let (home, agent) = started(node, name, TENANTS)?;
        let alone = |namespace, runtime, options| {
            let wish = Wish::new(namespace, "alone", runtime).with(options);
            Container::start(wish).with_context(|| format!("a pod of {namespace} on {runtime}"))
        };
        Ok(Self {
            untrusted: Pair::start("team-a")?,
            semi_trusted: Pair::start("team-b")?,
            trusted: Pair::start("team-c")?,
            stranger: alone("lab", "runc", MIGHTY)?,
            beacon: Beacon::start()?,
            home,
            agent,
        })
    }

    /// The tenants' containers.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        [&self.untrusted, &self.semi_trusted, &self.trusted]
            .into_iter()
            .flat_map(|pair| [&pair.plain, &pair.mighty])
    }

    /// The events that come while `doing` and of what was done.
    ///
    /// # Errors
    /// When doing fails, or the last record does not arrive.
    pub fn events_of<T>(&self, doing: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Event>)> {
        self.beacon.events_of(&self.home.evidence(), doing)
    }
}

impl Pair {
    fn start(namespace: &str) -> Result<Self> {
        let start = |pod, runtime, options| {
            Container::start(Wish::new(namespace, pod, runtime).with(options))
                .with_context(|| format!("pod {pod} of {namespace} on {runtime}"))
        };
        Ok(Self { plain: start("plain", "runc", &[])?, mighty: start("mighty", "crun", MIGHTY)? })
    }
}
