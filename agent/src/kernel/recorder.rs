//! System calls of one container, counted in the kernel while this is held.
//!
//! A load of the kernel side of its own, with maps of its own: it neither needs the agent nor
//! disturbs one. Only the programs that say who is who are attached, and the one that counts.

use aya::{
    Btf as AyaBtf, Ebpf,
    maps::{Array, HashMap, MapData},
    programs::ProgramError,
};
use bulkhead_abi::{
    Identity, RECORDED_COMPAT, RECORDED_LOST, RECORDED_OTHER, RECORDED_WATCHED, RecordedValue,
};

use super::{
    attach::attach_tracepoint,
    btf::{Btf, VMLINUX},
    guard::{MapError, map_error},
    links::Links,
    load::{
        ADOPTION, LIFECYCLE, LoadError, Maps, Placement, load_adoption, load_object, run_adoption,
    },
};

/// The program that counts. It goes last: nobody counts before it is said whose calls.
const COUNTS: &str = "sys_enter";

/// A recording.
pub(crate) struct Recorder {
    /// Keeps the programs attached.
    _links: Links,
    /// Keeps the programs.
    _ebpf: Ebpf,
    cgroups: HashMap<MapData, u64, Identity>,
    counts: Array<MapData, u64>,
    first: HashMap<MapData, RecordedValue, u64>,
}

/// A call, as the kernel side counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordedCall {
    /// Its number.
    pub(crate) number: u32,
    /// Whether it came through the 32-bit entry.
    pub(crate) compat: bool,
}

impl RecordedCall {
    fn at(index: u32) -> Self {
        let compat = index >= RECORDED_COMPAT;
        Self { number: if compat { index - RECORDED_COMPAT } else { index }, compat }
    }

    fn index(self) -> u32 {
        self.number + if self.compat { RECORDED_COMPAT } else { 0 }
    }
}

/// What was counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// How often each call was made.
    pub(crate) calls: Vec<(RecordedCall, u64)>,
    /// First arguments of the watched calls.
    pub(crate) values: Vec<(RecordedCall, u32)>,
    /// Calls with numbers past every table.
    pub(crate) other: u64,
    /// Values that found no room.
    pub(crate) values_lost: u64,
}

impl Recorder {
    /// Begins to count the calls of these cgroups, and of those made below them from now on. Of
    /// the watched calls the first argument is kept too.
    pub(crate) fn start(cgroups: &[u64], watched: &[RecordedCall]) -> Result<Self, LoadError> {
        let data = std::fs::read(VMLINUX).map_err(LoadError::NoBtf)?;
        let btf = Btf::parse(&data)?;
        drop(data);
        let kernel_btf =
            AyaBtf::from_sys_fs().map_err(|source| LoadError::Object(Box::new(source.into())))?;
        let mut ebpf = load_object(&btf, &Placement::default())?;
        let mut links = Links::default();
        let refused = |program: &str, source: ProgramError| LoadError::Program {
            program: program.to_owned(),
            source: Box::new(source),
        };
        for name in LIFECYCLE {
            let link = attach_tracepoint(&mut ebpf, name, &kernel_btf)
                .map_err(|source| refused(name, source))?;
            links.hold(name, link);
        }
        let mut maps = Maps::of(&mut ebpf);
        let mut recorder = Self {
            cgroups: maps.take("CGROUPS")?,
            counts: maps.take("RECORDED")?,
            first: maps.take("RECORDED_FIRST")?,
            _links: links,
            _ebpf: ebpf,
        };
        recorder.say_whose(cgroups, watched).map_err(LoadError::Recorder)?;
        load_adoption(&mut recorder._ebpf, ADOPTION, &kernel_btf)
            .map_err(|source| refused("iter/task", source))?;
        run_adoption(&mut recorder._ebpf, ADOPTION)?;
        let link = attach_tracepoint(&mut recorder._ebpf, COUNTS, &kernel_btf)
            .map_err(|source| refused(COUNTS, source))?;
        recorder._links.hold(COUNTS, link);
        Ok(recorder)
    }

    fn say_whose(&mut self, cgroups: &[u64], watched: &[RecordedCall]) -> Result<(), MapError> {
        for cgroup in cgroups {
            // All of them are one container: what is moved or made among them stays in it.
            let container = cgroups.first().copied().unwrap_or_default();
            let identity = Identity { container, pod: 0, tenant: 1, slot: 0, flags: 0 };
            self.cgroups.insert(cgroup, identity, 0).map_err(map_error("name a cgroup"))?;
        }
        for call in watched {
            self.counts
                .set(call.index(), RECORDED_WATCHED, 0)
                .map_err(map_error("watch a system call"))?;
        }
        Ok(())
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Result<Recorded, MapError> {
        let mut recorded = Recorded::default();
        let count = |index: u32| -> Result<u64, MapError> {
            let count = self.counts.get(&index, 0).map_err(map_error("read the counts"))?;
            Ok(count & !RECORDED_WATCHED)
        };
        for index in 0..RECORDED_OTHER {
            let count = count(index)?;
            if count > 0 {
                recorded.calls.push((RecordedCall::at(index), count));
            }
        }
        for key in self.first.keys() {
            let key = key.map_err(map_error("read the values"))?;
            recorded.values.push((RecordedCall::at(key.call), key.value));
        }
        recorded.other = count(RECORDED_OTHER)?;
        recorded.values_lost = count(RECORDED_LOST)?;
        Ok(recorded)
    }
}
