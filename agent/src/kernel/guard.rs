//! The loaded kernel side: programs, links and maps.

use std::{io, os::unix::fs::MetadataExt};

use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, MapData, RingBuf, lpm_trie::Key},
};
use bulkhead_abi::{
    ActKey, CountKey, Grants, Identity, LevelTable, MAX_RULES, OwnFile, Repeats, Rule,
    STATE_EXECUTED_LOST, STATE_LIFECYCLE_LOST, STATE_OVERFLOW, ScopeName, SensitiveFile,
};

use bulkhead_guard::files;
use bulkhead_policy::sensitive;

use super::{
    KnownTenant, LoadError, LossKey, Records, Verdicts,
    bpf::Entries,
    ladder::Ladder,
    lineage,
    links::Links,
    load::{self, Loaded, Maps, Placement},
    memory::{InHand, ToldLosses},
    succession::Succession,
};

/// The kernel side, as `cargo xtask ebpf` built it. CI proves that it is what the sources give.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf/bulkhead.bpf.o");

/// The container of a tenant's counts of containers that are gone.
pub(crate) const NO_CONTAINER: u64 = 0;

/// A map that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refuses to {action}")]
pub(crate) struct MapError {
    pub(super) action: &'static str,
    #[source]
    pub(super) source: aya::maps::MapError,
}

pub(super) fn map_error(action: &'static str) -> impl FnOnce(aya::maps::MapError) -> MapError {
    move |source| MapError { action, source }
}

/// What keeps the programs attached.
pub(super) enum Hold {
    /// This process: they end with it.
    Process { ebpf: Ebpf, _links: Links },
    /// Files, which outlive it.
    Pinned(Box<Succession>),
}

/// The loaded kernel side. Dropping it detaches everything, unless it is pinned.
pub(crate) struct Guard {
    pub(super) hold: Hold,
    cgroups: HashMap<MapData, u64, Identity>,
    grants: HashMap<MapData, u64, Grants>,
    levels: Array<MapData, LevelTable>,
    pub(super) counts: HashMap<MapData, CountKey, u64>,
    uncounted: Array<MapData, u64>,
    pub(super) state: Array<MapData, u64>,
    scopes: LpmTrie<MapData, ScopeName, Identity>,
    sensitive: HashMap<MapData, SensitiveFile, u32>,
    pub(super) all_counts: Entries<CountKey, u64>,
    acts: HashMap<MapData, ActKey, Repeats>,
    all_acts: Entries<ActKey, Repeats>,
    events: Option<Verdicts>,
    lifecycle: Option<Records>,
    executed: Option<Records>,
    pub(super) own: HashMap<MapData, OwnFile, u32>,
    ladder: Ladder,
}

impl Guard {
    /// Loads the kernel side for this process alone and attaches the best program for each hook.
    pub(crate) fn load() -> Result<Self, LoadError> {
        let Loaded { ebpf, maps, state, links, ladder } = load::load(&Placement::default())?;
        Self::assemble(maps, state, ladder, Hold::Process { ebpf, _links: links })
    }

    /// Puts the parts together.
    pub(super) fn assemble(
        mut maps: Maps,
        state: Array<MapData, u64>,
        ladder: Ladder,
        hold: Hold,
    ) -> Result<Self, LoadError> {
        let events: RingBuf<_> = maps.take("EVENTS")?;
        let critical: RingBuf<_> = maps.take("CRITICAL")?;
        let lifecycle: RingBuf<_> = maps.take("LIFECYCLE")?;
        let executed: RingBuf<_> = maps.take("EXECUTED")?;
        let mut guard = Self {
            hold,
            cgroups: maps.take("CGROUPS")?,
            grants: maps.take("GRANTS")?,
            levels: maps.take("LEVELS")?,
            all_counts: maps.entries("COUNTS")?,
            counts: maps.take("COUNTS")?,
            uncounted: maps.take("UNCOUNTED")?,
            scopes: maps.take("SCOPES")?,
            sensitive: maps.take("SENSITIVE")?,
            all_acts: maps.entries("ACTS")?,
            acts: maps.take("ACTS")?,
            state,
            events: Some(Verdicts::new(critical, events)),
            lifecycle: Some(Records::new(lifecycle)),
            executed: Some(Records::new(executed)),
            own: maps.take("OWN")?,
            ladder,
        };
        guard.write_sensitive_files().map_err(LoadError::Sensitive)?;
        write_node_namespaces(maps.take("NAMESPACES")?)?;
        guard.say_who()?;
        Ok(guard)
    }

    /// Which rule an opened kernel file meets.
    fn write_sensitive_files(&mut self) -> Result<(), MapError> {
        for file in sensitive::ALL {
            let access = match file.access {
                sensitive::Access::Write => files::Access::Write,
                sensitive::Access::Any => files::Access::Any,
            };
            let packed = files::pack(file.rule, access);
            self.sensitive
                .insert(file.key(), packed, 0)
                .map_err(map_error("set a sensitive file"))?;
        }
        Ok(())
    }

    /// What this kernel can do.
    pub(crate) fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// The rings of verdicts; the second call has none.
    pub(crate) fn take_events(&mut self) -> Option<Verdicts> {
        self.events.take()
    }

    /// The ring of cgroups made and removed; the second call has none.
    pub(crate) fn take_lifecycle(&mut self) -> Option<Records> {
        self.lifecycle.take()
    }

    /// The ring of executed programs; the second call has none.
    pub(crate) fn take_executed(&mut self) -> Option<Records> {
        self.executed.take()
    }

    /// Executed programs whose records found no room.
    pub(crate) fn executed_lost(&self) -> Result<u64, MapError> {
        self.state.get(&STATE_EXECUTED_LOST, 0).map_err(map_error("read the state"))
    }

    /// Says whose a cgroup is.
    pub(crate) fn set_identity(&mut self, cgroup: u64, identity: Identity) -> Result<(), MapError> {
        self.cgroups.insert(cgroup, identity, 0).map_err(map_error("name a cgroup"))
    }

    /// Whose a cgroup is.
    pub(crate) fn identity(&self, cgroup: u64) -> Option<Identity> {
        self.cgroups.get(&cgroup, 0).ok()
    }

    /// Says which devices a container has been granted; `None`: that is not known.
    pub(crate) fn set_grants(
        &mut self,
        container: u64,
        grants: Option<&Grants>,
    ) -> Result<(), MapError> {
        let Some(grants) = grants else {
            return match self.grants.remove(&container) {
                Err(error) if !is_absent(&error) => Err(map_error("forget grants")(error)),
                _ => Ok(()),
            };
        };
        self.grants.insert(container, grants, 0).map_err(map_error("write down grants"))
    }

    /// Gives a cgroup back to the host. One that is not there is no error.
    pub(crate) fn forget(&mut self, cgroup: u64) -> Result<(), MapError> {
        self.set_grants(cgroup, None)?;
        match self.cgroups.remove(&cgroup) {
            Err(error) if !is_absent(&error) => Err(map_error("forget a cgroup")(error)),
            _ => Ok(()),
        }
    }

    /// Every cgroup that has an entry.
    pub(crate) fn identities(&self) -> Vec<(u64, Identity)> {
        self.cgroups.iter().filter_map(Result::ok).collect()
    }

    /// Sets the verdicts of a slot.
    pub(crate) fn set_level(&mut self, slot: u16, table: &LevelTable) -> Result<(), MapError> {
        self.levels.set(u32::from(slot), table, 0).map_err(map_error("set a level"))
    }

    /// What a cgroup whose name begins so is when a host process makes it.
    pub(crate) fn set_scope(&mut self, prefix: &str, template: Identity) -> Result<(), MapError> {
        let mut name = [0; 32];
        let length = prefix.len().min(name.len());
        for (to, from) in name.iter_mut().zip(prefix.bytes()) {
            *to = from;
        }
        let bits = u32::try_from(length * 8).unwrap_or(256);
        let key = Key::new(bits, ScopeName { name });
        self.scopes.insert(&key, template, 0).map_err(map_error("set a scope name"))
    }

    /// Every count. They only grow.
    pub(crate) fn counts(&self) -> Result<Vec<(CountKey, u64)>, MapError> {
        self.all_counts.read().map_err(map_error("read the counts"))
    }

    /// Adds the final count of a container that is gone to its tenant's total, and forgets it.
    pub(crate) fn retire_count(&mut self, key: &CountKey, count: u64) -> Result<(), MapError> {
        self.add_to_total(key, count)?;
        self.forget_count(key)
    }

    /// The total stands where no container can: the agent alone writes it.
    pub(super) fn add_to_total(&mut self, key: &CountKey, count: u64) -> Result<(), MapError> {
        let total = CountKey { container: NO_CONTAINER, ..*key };
        let before = match self.counts.get(&total, 0) {
            Ok(before) => before,
            Err(error) if is_absent(&error) => 0,
            Err(error) => return Err(map_error("read a count")(error)),
        };
        self.counts
            .insert(total, before.saturating_add(count), 0)
            .map_err(map_error("add to a total"))
    }

    fn forget_count(&mut self, key: &CountKey) -> Result<(), MapError> {
        match self.counts.remove(key) {
            Err(error) if !is_absent(&error) => Err(map_error("forget a count")(error)),
            _ => Ok(()),
        }
    }

    /// The acts that were told a moment ago, and how often they were repeated.
    pub(crate) fn acts(&self) -> Result<Vec<(ActKey, Repeats)>, MapError> {
        self.all_acts.read().map_err(map_error("read the repeated acts"))
    }

    /// Forgets acts that were told so long ago that nothing more is counted with them, and of whose repeats
    /// nothing was ever said.
    pub(crate) fn forget_unrepeated_acts(&mut self, keys: &[ActKey]) -> Result<(), MapError> {
        self.all_acts.remove(keys).map_err(map_error("forget acts"))
    }

    /// Forgets one of whose repeats something was said.
    pub(crate) fn forget_act(&mut self, key: &ActKey) -> Result<(), MapError> {
        // This first: killed in between, the next agent rather tells repeats again than too few.
        if let Hold::Pinned(succession) = &mut self.hold
            && let Err(error) = succession.memory.forget_said(key)
            && !is_absent(&error)
        {
            return Err(map_error("forget what was told of an act")(error));
        }
        match self.acts.remove(key) {
            Err(error) if !is_absent(&error) => Err(map_error("forget an act")(error)),
            _ => Ok(()),
        }
    }

    /// Verdicts for which the count map had no room, by rule.
    pub(crate) fn uncounted(&self) -> Result<Vec<(Rule, u64)>, MapError> {
        let mut lost = Vec::new();
        for rule in Rule::ALL {
            let index = *rule as u32 & (MAX_RULES as u32 - 1);
            let count = self.uncounted.get(&index, 0).map_err(map_error("read a count"))?;
            if count > 0 {
                lost.push((*rule, count));
            }
        }
        Ok(lost)
    }

    /// Lifecycle records that found no room: when it grows, the tree must be walked again.
    pub(crate) fn lifecycle_lost(&self) -> Result<u64, MapError> {
        self.state.get(&STATE_LIFECYCLE_LOST, 0).map_err(map_error("read the state"))
    }

    /// Whether a cgroup once found no room in the map.
    pub(crate) fn overflowed(&self) -> Result<bool, MapError> {
        let value = self.state.get(&STATE_OVERFLOW, 0).map_err(map_error("read the state"))?;
        Ok(value != 0)
    }

    /// Tells the kernel side that a cgroup without an entry need not be the host's: it then looks
    /// at the ancestors.
    pub(crate) fn set_overflow(&mut self) -> Result<(), MapError> {
        self.state.set(STATE_OVERFLOW, 1, 0).map_err(map_error("set the state"))
    }

    /// Marks the tasks that already run in workloads' cgroups, and looks where they come from.
    pub(crate) fn adopt(&mut self) -> Result<(), LoadError> {
        let with_lineages = self.ladder.lineage.running.is_empty();
        let iterators = [(load::ADOPTION, true), (lineage::ADOPTION, with_lineages)];
        for (name, _) in iterators.into_iter().filter(|(_, loaded)| *loaded) {
            match &mut self.hold {
                Hold::Process { ebpf, .. } => load::run_adoption(ebpf, name)?,
                Hold::Pinned(succession) => load::read_adoption(&succession.iterator(name))?,
            }
        }
        Ok(())
    }
}

/// What earlier agents knew, and what later ones must.
impl Guard {
    /// The tenants that identities, counts and levels may refer to.
    pub(crate) fn known_tenants(&self) -> Result<Vec<KnownTenant>, MapError> {
        match &self.hold {
            Hold::Process { .. } => Ok(Vec::new()),
            Hold::Pinned(succession) => {
                succession.memory.tenants().map_err(map_error("read the tenants' names"))
            }
        }
    }

    /// Remembers a tenant for later agents. Call it before the kernel side hears of its number.
    pub(crate) fn remember_tenant(&mut self, tenant: &KnownTenant) -> Result<(), MapError> {
        match &mut self.hold {
            Hold::Process { .. } => Ok(()),
            Hold::Pinned(succession) => {
                succession.memory.remember(tenant).map_err(map_error("remember a tenant"))
            }
        }
    }

    /// By tenant and rule, how many lost records the log has heard of.
    pub(crate) fn told_losses(&self) -> Result<ToldLosses, MapError> {
        match &self.hold {
            Hold::Process { .. } => Ok(Vec::new()),
            Hold::Pinned(succession) => {
                succession.memory.told().map_err(map_error("read what was told of losses"))
            }
        }
    }

    /// How many repeats of each act the log has heard of.
    pub(crate) fn said_repeats(&self) -> Result<Vec<(ActKey, u64)>, MapError> {
        match &self.hold {
            Hold::Process { .. } => Ok(Vec::new()),
            Hold::Pinned(succession) => {
                succession.memory.said().map_err(map_error("read what was told of repeats"))
            }
        }
    }

    /// Remembers that the log has heard of so many.
    pub(crate) fn remember_said(&mut self, act: &ActKey, repeats: u64) -> Result<(), MapError> {
        match &mut self.hold {
            Hold::Process { .. } => Ok(()),
            Hold::Pinned(succession) => {
                succession.memory.set_said(act, repeats).map_err(map_error("remember repeats"))
            }
        }
    }

    /// The record that an earlier agent had in hand last.
    pub(crate) fn in_hand(&self) -> Result<Option<InHand>, MapError> {
        match &self.hold {
            Hold::Process { .. } => Ok(None),
            Hold::Pinned(succession) => {
                succession.memory.in_hand().map_err(map_error("read which record was in hand"))
            }
        }
    }

    /// Says which record is in hand, before the log is told of it.
    pub(crate) fn take_in_hand(&mut self, hand: InHand) -> Result<(), MapError> {
        match &mut self.hold {
            Hold::Process { .. } => Ok(()),
            Hold::Pinned(succession) => succession
                .memory
                .take_in_hand(hand)
                .map_err(map_error("remember which record is in hand")),
        }
    }

    /// Remembers that the log has heard of so many.
    pub(crate) fn remember_told(&mut self, of: LossKey, count: u64) -> Result<(), MapError> {
        match &mut self.hold {
            Hold::Process { .. } => Ok(()),
            Hold::Pinned(succession) => {
                succession.memory.set_told(of, count).map_err(map_error("remember a loss"))
            }
        }
    }
}

/// The node's own namespaces, so that nobody else is taken for their owner. Where the agent may not
/// look at the node's first process they are its own.
fn write_node_namespaces(mut map: HashMap<MapData, u32, Identity>) -> Result<(), LoadError> {
    let numbers = match namespaces("/proc/1/ns") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(%error, "cannot read /proc/1/ns: this process's namespaces count as the node's");
            namespaces("/proc/self/ns")
        }
        read => read,
    };
    for number in numbers.map_err(LoadError::Namespaces)? {
        map.insert(number, Identity::HOST, 0)
            .map_err(map_error("name the node's namespaces"))
            .map_err(LoadError::Sensitive)?;
    }
    Ok(())
}

/// The numbers of a process's namespaces.
fn namespaces(directory: &str) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // The kernel side does not look at which clock offsets a task has: with them known, every
        // container's own would pass for the node's.
        if entry.file_name().as_encoded_bytes().starts_with(b"time") {
            continue;
        }
        let number = std::fs::metadata(entry.path())?.ino();
        let number = u32::try_from(number)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        numbers.push(number);
    }
    Ok(numbers)
}

fn is_absent(error: &aya::maps::MapError) -> bool {
    match error {
        aya::maps::MapError::KeyNotFound => true,
        aya::maps::MapError::SyscallError(call) => call.io_error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}
