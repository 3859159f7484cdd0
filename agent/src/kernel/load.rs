//! Loading: the object into the kernel, its programs onto their hooks.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use aya::{
    Btf as AyaBtf, Ebpf, EbpfLoader, Pod,
    maps::{Array, Map, MapData},
    programs::{
        Iter, ProgramError,
        links::{FdLink, LinkError},
    },
};

use super::{
    MapError, account,
    attach::{attach_hooks, attach_tracepoint},
    bpf::{self, Entries},
    btf::{Btf, BtfError, VMLINUX},
    guard::OBJECT,
    ladder::Ladder,
    links::Links,
    memory, offsets,
    pins::PinError,
    version,
};

/// The iterator that marks running tasks, and the name of its file.
pub(super) const ADOPTION: &str = "adopt";

/// The lifecycle programs: without them nobody knows who is who.
pub(super) const LIFECYCLE: [&str; 5] = [
    "cgroup_mkdir",
    "cgroup_rmdir",
    "cgroup_attach_task",
    "sched_process_fork",
    "sched_process_exec",
];

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
    /// The members' offsets cannot be written into the object.
    #[error(transparent)]
    Places(#[from] offsets::PlaceError),
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
    /// The agent could not find out which process it is.
    #[error("cannot tell which process this is")]
    Itself(#[source] io::Error),
    /// A recording could not be told what to look at.
    #[error("cannot tell the kernel side what to record")]
    Recorder(#[source] MapError),
    /// What is pinned.
    #[error(transparent)]
    Pins(#[from] PinError),
    /// A link could not be pinned.
    #[error("cannot pin {0}")]
    Pin(String, #[source] io::Error),
    /// The agent's own object could not be read.
    #[error(transparent)]
    Own(#[from] version::ObjectError),
    /// What is kept of how the programs hold.
    #[error(transparent)]
    Account(#[from] account::AccountError),
    /// What the agent must remember.
    #[error(transparent)]
    Memory(#[from] memory::MemoryError),
    /// One build could not hand over to the next.
    #[error(transparent)]
    Succession(#[from] MapError),
    /// The node's namespaces cannot be read.
    #[error("cannot read the node's namespaces in /proc/1/ns or /proc/self/ns")]
    Namespaces(#[source] io::Error),
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

/// Where the parts of the kernel side are to be.
#[derive(Default)]
pub(super) struct Placement {
    /// The programs' number; 0 where nothing is pinned.
    pub(super) generation: u32,
    /// The files of maps: one that is there is used, the others are made.
    pub(super) maps: Vec<(String, PathBuf)>,
}

/// The kernel side, attached.
pub(super) struct Loaded {
    pub(super) ebpf: Ebpf,
    /// Its maps, but for the one that attaching takes.
    pub(super) maps: Maps,
    pub(super) state: Array<MapData, u64>,
    pub(super) links: Links,
    pub(super) ladder: Ladder,
}

/// Loads the kernel side and attaches the best program for each hook.
pub(super) fn load(placement: &Placement) -> Result<Loaded, LoadError> {
    let data = std::fs::read(VMLINUX).map_err(LoadError::NoBtf)?;
    let btf = Btf::parse(&data)?;
    drop(data);
    let kernel_btf =
        AyaBtf::from_sys_fs().map_err(|source| LoadError::Object(Box::new(source.into())))?;
    let mut ebpf = load_object(&btf, placement)?;
    let mut links = Links::default();
    for name in LIFECYCLE {
        let link = attach_tracepoint(&mut ebpf, name, &kernel_btf).map_err(|source| {
            LoadError::Program { program: format!("tp_btf/{name}"), source: Box::new(source) }
        })?;
        links.hold(&format!("tp_{name}"), link);
    }
    let mut maps = Maps::of(&mut ebpf);
    let mut state = maps.take("STATE")?;
    let ladder = attach_hooks(&mut ebpf, &btf, &kernel_btf, &mut state, &mut links);
    load_adoption(&mut ebpf, ADOPTION, &kernel_btf).map_err(|source| LoadError::Program {
        program: "iter/task".to_owned(),
        source: Box::new(source),
    })?;
    Ok(Loaded { ebpf, maps, state, links, ladder })
}

/// Maps by name, as they are taken.
pub(super) struct Maps(HashMap<String, Map>);

impl Maps {
    /// Those of a loaded object, which loses them.
    pub(super) fn of(ebpf: &mut Ebpf) -> Self {
        let names: Vec<String> = ebpf.maps().map(|(name, _)| name.to_owned()).collect();
        let maps = names.into_iter().filter_map(|name| {
            let map = ebpf.take_map(&name)?;
            Some((name, map))
        });
        Self(maps.collect())
    }

    /// Those that are pinned in these files, by name.
    pub(super) fn pinned(files: &[(String, PathBuf)]) -> Result<Self, aya::maps::MapError> {
        let open = |path: &PathBuf| Map::from_map_data(MapData::from_pin(path)?);
        files
            .iter()
            .map(|(name, path)| Ok((name.clone(), open(path)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A way to read all entries of a hash map that stays.
    pub(super) fn entries<K: Pod, V: Pod>(
        &self,
        name: &'static str,
    ) -> Result<Entries<K, V>, LoadError> {
        let data = self.0.get(name).and_then(bpf::data_of).ok_or(LoadError::Map(name, None))?;
        Entries::of(data).map_err(|source| LoadError::Map(name, Some(Box::new(source))))
    }

    /// One of them.
    pub(super) fn take<M: TryFrom<Map, Error = aya::maps::MapError>>(
        &mut self,
        name: &'static str,
    ) -> Result<M, LoadError> {
        let map = self.0.remove(name).ok_or(LoadError::Map(name, None))?;
        M::try_from(map).map_err(|source| LoadError::Map(name, Some(Box::new(source))))
    }
}

pub(super) fn load_object(btf: &Btf, placement: &Placement) -> Result<Ebpf, LoadError> {
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
    loader.override_global("CANARY_PID", &pid, true);
    loader.override_global("GENERATION", &placement.generation, true);
    for (name, path) in &placement.maps {
        loader.map_pin_path(name, path.as_path());
    }
    let object = offsets::place(OBJECT, &offsets)?;
    loader.load(&object).map_err(|source| LoadError::Object(Box::new(source)))
}

/// Runs an iterator over the running tasks once.
pub(super) fn run_adoption(ebpf: &mut Ebpf, name: &str) -> Result<(), LoadError> {
    let refused = |source: ProgramError| LoadError::Program {
        program: "iter/task".to_owned(),
        source: Box::new(source),
    };
    let program: &mut Iter = ebpf
        .program_mut(name)
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

/// The same by the file that the iterator is pinned in: opening it makes it begin anew.
pub(super) fn read_adoption(path: &Path) -> Result<(), LoadError> {
    let mut file = File::open(path).map_err(LoadError::Adopt)?;
    io::copy(&mut file, &mut io::sink()).map_err(LoadError::Adopt)?;
    Ok(())
}

/// Holds an iterator as a link, so that it can be pinned.
pub(super) fn hold_adoption(
    ebpf: &mut Ebpf,
    name: &str,
    links: &mut Links,
) -> Result<(), LoadError> {
    let refused = |source: ProgramError| LoadError::Program {
        program: "iter/task".to_owned(),
        source: Box::new(source),
    };
    let program: &mut Iter = ebpf
        .program_mut(name)
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)
        .map_err(refused)?;
    let id = program.attach().map_err(refused)?;
    let link = program.take_link(id).map_err(refused)?;
    let link: FdLink =
        link.try_into().map_err(|error: LinkError| LoadError::Adopt(io::Error::other(error)))?;
    links.hold(name, link);
    Ok(())
}

pub(super) fn load_adoption(ebpf: &mut Ebpf, name: &str, btf: &AyaBtf) -> Result<(), ProgramError> {
    let program: &mut Iter =
        ebpf.program_mut(name).ok_or(ProgramError::NotLoaded).and_then(TryInto::try_into)?;
    program.load("task", btf)
}
