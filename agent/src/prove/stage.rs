//! The stage: two containers of two tenants, a place that nobody guards, and the processes that
//! stand there to be acted on. All of it is made here and gone when the stage is dropped.

use std::{fs, os::unix::net::UnixListener, path::Path, process::Stdio};

use anyhow::Context;
use bulkhead_abi::{CANARY_SLOT, Grant, Grants, Identity, Relation, grants::access};
use tempfile::TempDir;

use super::{
    actor::{Scene, TargetProcess},
    acts::own,
    cgroup::Cgroup,
    child::Target,
    engine::Engine,
    prop::{OUTSIDE_FILE, UNGRANTED},
};
use crate::node::cgroupfs::CgroupTree;

/// Tenant numbers that no configuration reaches.
const ACTOR_TENANT: u32 = u32::MAX - 1;
const NEIGHBOUR_TENANT: u32 = u32::MAX;

/// Fields are dropped in this order: processes first, then the cgroups they were in, children
/// before parents.
#[derive(Debug)]
pub(crate) struct Stage {
    beside_actor: Target,
    neighbour: Target,
    on_node: Target,
    actor: Cgroup,
    other: Cgroup,
    outside: Cgroup,
    root: Cgroup,
    scratch: TempDir,
    agents: TempDir,
    _listener: UnixListener,
}

impl Stage {
    /// Builds the stage below the cgroup v2 mount and makes the two containers known.
    pub(crate) fn build(engine: &mut dyn Engine) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new()
            .prefix("bulkhead-prove-")
            .tempdir()
            .context("cannot make a scratch directory")?;
        fs::write(scratch.path().join(OUTSIDE_FILE), b"bulkhead prove\n")
            .context("cannot write into a scratch directory")?;
        let (agents, listener) = agents_things()?;
        engine.protect(agents.path())?;
        let root = Cgroup::make(
            CgroupTree::find()?.mount().join(format!("bulkhead-prove-{}", random()?)),
        )?;
        let make = |name: &str| Cgroup::make(root.path().join(name));
        let (actor, other, outside) = (make("a")?, make("b")?, make("outside")?);
        engine.name_cgroup(actor.id(), container(&actor, ACTOR_TENANT))?;
        engine.name_cgroup(other.id(), container(&other, NEIGHBOUR_TENANT))?;
        engine.grant(actor.id(), &all_but_one().context("one device fits")?)?;
        Ok(Self {
            beside_actor: Target::start(Some(&actor), scratch.path())?,
            neighbour: Target::start(Some(&other), scratch.path())?,
            on_node: Target::start(None, scratch.path())?,
            actor,
            other,
            outside,
            root,
            scratch,
            agents,
            _listener: listener,
        })
    }

    /// Everything in the cgroup hierarchy that is ours lies below this.
    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// The container that acts.
    pub(crate) fn actor(&self) -> &Cgroup {
        &self.actor
    }

    /// A cgroup that belongs to no workload: what is done there, nobody judges.
    pub(crate) fn outside(&self) -> &Cgroup {
        &self.outside
    }

    /// An existing, empty directory to mount over.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// What an actor is told.
    pub(crate) fn scene(&self, relation: Relation) -> Scene {
        Scene {
            scratch: self.scratch.path().to_owned(),
            agents: self.agents.path().to_owned(),
            target: self.target(relation).map(Target::process),
        }
    }

    /// What an actor gets as its standard input.
    pub(crate) fn line(&self, relation: Relation) -> anyhow::Result<Stdio> {
        self.target(relation).map_or(Ok(Stdio::null()), Target::line)
    }

    fn target(&self, relation: Relation) -> Option<&Target> {
        match relation {
            Relation::Own => Some(&self.beside_actor),
            Relation::CrossTenant => Some(&self.neighbour),
            Relation::Host => Some(&self.on_node),
            Relation::None | Relation::Pod | Relation::Tenant => None,
        }
    }

    /// A target that an act has ended, against everything that an act may do.
    pub(crate) fn harmed(&mut self) -> anyhow::Result<Option<TargetProcess>> {
        for target in [&mut self.beside_actor, &mut self.neighbour, &mut self.on_node] {
            if !target.stands()? {
                return Ok(Some(target.process()));
            }
        }
        Ok(None)
    }

    /// Takes the containers' names back.
    pub(crate) fn forget(&self, engine: &mut dyn Engine) -> anyhow::Result<()> {
        engine.forget_cgroup(self.actor.id())?;
        engine.forget_cgroup(self.other.id())
    }
}

/// A directory with a file and a socket that pass for the agent's.
fn agents_things() -> anyhow::Result<(TempDir, UnixListener)> {
    let directory = tempfile::Builder::new()
        .prefix("bulkhead-prove-")
        .tempdir()
        .context("cannot make a directory to pass for the agent's")?;
    fs::write(directory.path().join(own::FILE), "").context("cannot make a file in it")?;
    let listener = UnixListener::bind(directory.path().join(own::SOCKET));
    Ok((directory, listener.context("cannot make a socket in it")?))
}

/// A container under the table that is under test.
pub(super) fn container(cgroup: &Cgroup, tenant: u32) -> Identity {
    Identity { container: cgroup.id(), pod: 0, tenant, slot: CANARY_SLOT, flags: 0 }
}

/// Everything is granted but the device that the act `ungranted-device` opens: the other acts are to
/// meet their own rules.
fn all_but_one() -> Option<Grants> {
    let access = access::READ | access::WRITE;
    let (major, minor) = UNGRANTED;
    Grants::of(true, &[Grant { major, minor, block: 0, access, padding: [0; 2] }])
}

/// A name that nobody else has.
pub(super) fn random() -> anyhow::Result<String> {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").context("random name")?;
    Ok(uuid.trim_end().to_owned())
}
