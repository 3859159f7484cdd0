//! An agent and containers of every level on both runtimes, for tests that share them.

use anyhow::{Context, Result};

use crate::{
    agent::{Agent, Home},
    evidence::{Event, Evidence},
    node::Node,
    pod::{Container, Wish},
};

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
    beacon: Container,
}

impl Cast {
    /// Starts the runtime, the agent, then the containers.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn assemble(node: &Node, name: &str) -> Result<Self> {
        node.start_runtime()?;
        let home = Home::new(name)?;
        home.write(&home.configuration(TENANTS))?;
        let agent = Agent::start(&home)?;
        let alone = |namespace, runtime, options| {
            let wish = Wish::new(namespace, "alone", runtime).with(options);
            Container::start(wish).with_context(|| format!("a pod of {namespace} on {runtime}"))
        };
        Ok(Self {
            untrusted: Pair::start("team-a")?,
            semi_trusted: Pair::start("team-b")?,
            trusted: Pair::start("team-c")?,
            stranger: alone("lab", "runc", MIGHTY)?,
            // AppArmor's profile for containers would refuse what the beacon does.
            beacon: alone("beacon", "crun", &["--apparmor", "unconfined"])?,
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

    /// The events that come while `doing` and of what was done: all of them, because the last of
    /// the records is known to have arrived.
    ///
    /// # Errors
    /// When doing fails, or the last record does not arrive.
    pub fn events_of<T>(&self, doing: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Event>)> {
        let evidence = self.home.evidence();
        let before = evidence.newest()?;
        let done = doing()?;
        let last = light(&self.beacon, &evidence, before)?;
        let mut events = evidence.after(before)?;
        events.retain(|event| event.sequence() < last && !is_of(event, &self.beacon));
        Ok((done, events))
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

/// Does what is always reported, and waits for the report: records keep their order, and critical
/// ones are never told late, so that whatever happened before has been reported by then.
///
/// A new directory each time: the same act again would be counted with the one before.
fn light(beacon: &Container, evidence: &Evidence, after: u64) -> Result<u64> {
    let ended = beacon.sh("d=$(mktemp -d) && ! mount -t tmpfs x $d")?;
    anyhow::ensure!(ended.well(), "the beacon does not burn: {}", ended.said);
    let event = evidence.await_one(after, "the beacon's", |event| {
        event.text("rule") == "BH-MNT-001" && is_of(event, beacon)
    })?;
    Ok(event.sequence())
}

/// Whether this container is the actor.
#[must_use]
pub fn is_of(event: &Event, container: &Container) -> bool {
    event.text("actor.container.id") == container.id
}
