//! The loaded kernel side: programs, links and maps.

use std::io;

use aya::{
    Btf as AyaBtf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, MapData, RingBuf, lpm_trie::Key},
    programs::{Iter, ProgramError},
};
use bulkhead_abi::{CountKey, Identity, LevelTable, MAX_RULES, Rule, ScopeName, SensitiveFile};

use bulkhead_guard::files;
use bulkhead_policy::sensitive;

use super::{
    Records,
    attach::{attach_hooks, attach_tracepoint},
    btf::{Btf, BtfError, VMLINUX},
    ladder::Ladder,
    links::Links,
    offsets,
};

/// The kernel side, as `cargo xtask ebpf` built it. CI proves that it is what the sources give.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf/bulkhead.bpf.o");

/// The lifecycle programs: without them nobody knows who is who.
const LIFECYCLE: [&str; 5] = [
    "cgroup_mkdir",
    "cgroup_rmdir",
    "cgroup_attach_task",
    "sched_process_fork",
    "sched_process_exec",
];

// Indexes of the state map (ebpf/src/maps.rs).
const STATE_OVERFLOW: u32 = 0;
const STATE_LIFECYCLE_LOST: u32 = 1;

/// Why the kernel side could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// No BTF: nothing can be found in this kernel.
    #[error(
        "cannot read {VMLINUX}: {0}. Bulkhead needs a kernel built with CONFIG_DEBUG_INFO_BTF; \
         in a container, mount /sys of the host"
    )]
    NoBtf(#[source] io::Error),
    /// BTF that this reader does not understand.
    #[error("cannot read the types in {VMLINUX}")]
    Btf(#[from] BtfError),
    /// A kernel whose structs lack a member that the kernel side reads.
    #[error("this kernel lacks {0}, which the kernel side reads: it is not supported")]
    Offsets(String),
    /// The object or its maps were refused.
    #[error("cannot load the kernel side's maps. {}", advice_for(.0))]
    Object(#[source] Box<aya::EbpfError>),
    /// A program without which nothing works was refused.
    #[error("cannot attach {program}")]
    Program {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: Box<ProgramError>,
    },
    /// A map is missing or of another kind: agent and object are not of one build.
    #[error("the kernel side has no usable map {0}: it is not of this agent's build")]
    Map(&'static str, #[source] Option<Box<aya::maps::MapError>>),
    /// The list of sensitive files could not be handed over.
    #[error("the kernel side has no list of sensitive files")]
    Sensitive(#[source] MapError),
    /// The tasks that run already could not be marked.
    #[error("cannot look at the tasks that run already")]
    Adopt(#[source] io::Error),
}

fn advice_for(error: &aya::EbpfError) -> String {
    let text = format!("{error:?}");
    if text.contains("PermissionDenied") || text.contains("Operation not permitted") {
        "The kernel refuses bpf(2): run as root with CAP_BPF and CAP_PERFMON".to_owned()
    } else {
        "See the cause below".to_owned()
    }
}

/// A map that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refuses to {action}")]
pub(crate) struct MapError {
    action: &'static str,
    #[source]
    source: aya::maps::MapError,
}

fn map_error(action: &'static str) -> impl FnOnce(aya::maps::MapError) -> MapError {
    move |source| MapError { action, source }
}

/// The loaded kernel side. Dropping it detaches everything.
pub(crate) struct Guard {
    /// Keeps the programs attached.
    _links: Links,
    /// Keeps the programs.
    ebpf: Ebpf,
    cgroups: HashMap<MapData, u64, Identity>,
    levels: Array<MapData, LevelTable>,
    counts: HashMap<MapData, CountKey, u64>,
    uncounted: Array<MapData, u64>,
    state: Array<MapData, u64>,
    scopes: LpmTrie<MapData, ScopeName, Identity>,
    sensitive: HashMap<MapData, SensitiveFile, u32>,
    events: Option<Records>,
    lifecycle: Option<Records>,
    ladder: Ladder,
}

impl Guard {
    /// Loads the kernel side and attaches the best program for each hook.
    pub(crate) fn load() -> Result<Self, LoadError> {
        let data = std::fs::read(VMLINUX).map_err(LoadError::NoBtf)?;
        let btf = Btf::parse(&data)?;
        drop(data);
        let kernel_btf =
            AyaBtf::from_sys_fs().map_err(|source| LoadError::Object(Box::new(source.into())))?;
        let mut ebpf = load_object(&btf)?;
        let mut links = Links::default();
        for name in LIFECYCLE {
            let link = attach_tracepoint(&mut ebpf, name, &kernel_btf).map_err(|source| {
                LoadError::Program { program: format!("tp_btf/{name}"), source: Box::new(source) }
            })?;
            links.hold(link);
        }
        let mut state: Array<_, u64> = take(&mut ebpf, "STATE")?;
        let ladder = attach_hooks(&mut ebpf, &btf, &kernel_btf, &mut state, &mut links);
        load_adoption(&mut ebpf, &kernel_btf).map_err(|source| LoadError::Program {
            program: "iter/task".to_owned(),
            source: Box::new(source),
        })?;
        let events: RingBuf<_> = take(&mut ebpf, "EVENTS")?;
        let lifecycle: RingBuf<_> = take(&mut ebpf, "LIFECYCLE")?;
        let mut guard = Self {
            cgroups: take(&mut ebpf, "CGROUPS")?,
            levels: take(&mut ebpf, "LEVELS")?,
            counts: take(&mut ebpf, "COUNTS")?,
            uncounted: take(&mut ebpf, "UNCOUNTED")?,
            scopes: take(&mut ebpf, "SCOPES")?,
            sensitive: take(&mut ebpf, "SENSITIVE")?,
            events: Some(Records::new(events)),
            lifecycle: Some(Records::new(lifecycle)),
            state,
            ladder,
            _links: links,
            ebpf,
        };
        guard.write_sensitive_files().map_err(LoadError::Sensitive)?;
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

    /// The ring of verdicts; the second call has none.
    pub(crate) fn take_events(&mut self) -> Option<Records> {
        self.events.take()
    }

    /// The ring of cgroups made and removed; the second call has none.
    pub(crate) fn take_lifecycle(&mut self) -> Option<Records> {
        self.lifecycle.take()
    }

    /// Says whose a cgroup is.
    pub(crate) fn set_identity(&mut self, cgroup: u64, identity: Identity) -> Result<(), MapError> {
        self.cgroups.insert(cgroup, identity, 0).map_err(map_error("name a cgroup"))
    }

    /// Whose a cgroup is.
    pub(crate) fn identity(&self, cgroup: u64) -> Option<Identity> {
        self.cgroups.get(&cgroup, 0).ok()
    }

    /// Gives a cgroup back to the host. One that is not there is no error.
    pub(crate) fn forget(&mut self, cgroup: u64) -> Result<(), MapError> {
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
        self.counts.iter().collect::<Result<_, _>>().map_err(map_error("read the counts"))
    }

    /// Forgets the counts of a container that is gone and has been added up elsewhere.
    pub(crate) fn forget_count(&mut self, key: &CountKey) -> Result<(), MapError> {
        match self.counts.remove(key) {
            Err(error) if !is_absent(&error) => Err(map_error("forget a count")(error)),
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

    /// Marks the tasks that already run in workloads' cgroups.
    pub(crate) fn adopt(&mut self) -> Result<(), LoadError> {
        run_adoption(&mut self.ebpf)
    }
}

fn is_absent(error: &aya::maps::MapError) -> bool {
    match error {
        aya::maps::MapError::KeyNotFound => true,
        aya::maps::MapError::SyscallError(call) => call.io_error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn load_object(btf: &Btf) -> Result<Ebpf, LoadError> {
    let offsets = offsets::resolve(btf).map_err(|missing| {
        let names: Vec<_> = missing
            .iter()
            .map(|offset| format!("{}.{}", offset.structure, offset.member))
            .collect();
        LoadError::Offsets(names.join(", "))
    })?;
    let pid = std::process::id();
    let mut loader = EbpfLoader::new();
    // Task storage, which this version of aya creates but has no type for.
    loader.allow_unsupported_maps();
    for (symbol, value) in &offsets {
        loader.override_global(symbol, value, true);
    }
    loader.override_global("CANARY_PID", &pid, true);
    loader.load(OBJECT).map_err(|source| LoadError::Object(Box::new(source)))
}

fn take<M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, LoadError> {
    let map = ebpf.take_map(name).ok_or(LoadError::Map(name, None))?;
    M::try_from(map).map_err(|source| LoadError::Map(name, Some(Box::new(source))))
}

/// Runs the iterator that marks running tasks once.
fn run_adoption(ebpf: &mut Ebpf) -> Result<(), LoadError> {
    let refused = |source: ProgramError| LoadError::Program {
        program: "iter/task".to_owned(),
        source: Box::new(source),
    };
    let program: &mut Iter = ebpf
        .program_mut("adopt")
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)
        .map_err(refused)?;
    let id = program.attach().map_err(refused)?;
    let link = program.take_link(id).map_err(refused)?;
    let mut file = link.into_file().map_err(|error| LoadError::Adopt(io::Error::other(error)))?;
    // Reading runs the program, a task a call. It writes nothing.
    io::copy(&mut file, &mut io::sink()).map_err(LoadError::Adopt)?;
    Ok(())
}

fn load_adoption(ebpf: &mut Ebpf, btf: &AyaBtf) -> Result<(), ProgramError> {
    let program: &mut Iter =
        ebpf.program_mut("adopt").ok_or(ProgramError::NotLoaded).and_then(TryInto::try_into)?;
    program.load("task", btf)
}
