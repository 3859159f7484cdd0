//! The loaded kernel side: programs, links and maps.

use std::{io, path::Path};

use aya::{
    Btf as AyaBtf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, MapData, RingBuf, lpm_trie::Key},
    programs::{BtfTracePoint, FEntry, Iter, Lsm, ProgramError},
};
use bulkhead_abi::{
    CountKey, Identity, LevelTable, MAX_RULES, Rule, Rung, ScopeName, SensitiveFile,
};

use bulkhead_guard::files;
use bulkhead_policy::sensitive;

use super::{
    Records,
    btf::{Btf, BtfError, VMLINUX},
    hooks::{HOOKS, Hook, SUBSTITUTES},
    ladder::{HookStatus, Ladder, RuleStatus, State, state_of},
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

/// The canary's call: prctl(2) with PR_GET_DUMPABLE (linux/prctl.h), which changes nothing.
const CANARY_OPTION: u64 = 3;

// Indexes of the state map (ebpf/src/maps.rs).
const STATE_OVERFLOW: u32 = 0;
const STATE_LIFECYCLE_LOST: u32 = 1;
const STATE_CANARY: u32 = 2;

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
    /// Keeps programs and links.
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
        for name in LIFECYCLE {
            attach_tracepoint(&mut ebpf, name, &kernel_btf).map_err(|source| {
                LoadError::Program { program: format!("tp_btf/{name}"), source: Box::new(source) }
            })?;
        }
        let mut state: Array<_, u64> = take(&mut ebpf, "STATE")?;
        let ladder = attach_hooks(&mut ebpf, &btf, &kernel_btf, &mut state);
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

fn attach_tracepoint(ebpf: &mut Ebpf, name: &str, btf: &AyaBtf) -> Result<(), ProgramError> {
    let program: &mut BtfTracePoint = ebpf
        .program_mut(&format!("tp_{name}"))
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)?;
    program.load(name, btf)?;
    program.attach()?;
    Ok(())
}

fn attach_lsm(ebpf: &mut Ebpf, hook: &str, btf: &AyaBtf) -> Result<(), ProgramError> {
    let program: &mut Lsm = ebpf
        .program_mut(&format!("lsm_{hook}"))
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)?;
    program.load(hook, btf)?;
    program.attach()?;
    Ok(())
}

fn attach_fentry(
    ebpf: &mut Ebpf,
    hook: &str,
    function: &str,
    btf: &AyaBtf,
) -> Result<(), ProgramError> {
    let program: &mut FEntry = ebpf
        .program_mut(&format!("fentry_{hook}"))
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)?;
    program.load(function, btf)?;
    program.attach()?;
    Ok(())
}

/// What the canary found out about one kind of program.
enum Canary {
    Fires,
    Silent(String),
}

/// Attaches the canary of a rung, makes the call that it waits for, and takes it off again.
fn canary(ebpf: &mut Ebpf, rung: Rung, btf: &AyaBtf, state: &mut Array<MapData, u64>) -> Canary {
    let attached = match rung {
        Rung::Lsm => attach_lsm(ebpf, "task_prctl", btf),
        _ => attach_fentry(ebpf, "task_prctl", "security_task_prctl", btf),
    };
    if let Err(error) = attached {
        return Canary::Silent(brief(&error));
    }
    let heard = match state.set(STATE_CANARY, 0, 0) {
        Ok(()) => {
            nix::sys::prctl::get_dumpable().is_ok()
                && state.get(&STATE_CANARY, 0).is_ok_and(|word| word == CANARY_OPTION)
        }
        Err(_) => false,
    };
    detach_canary(ebpf, rung);
    if heard {
        Canary::Fires
    } else {
        Canary::Silent("programs load and attach but are never called".to_owned())
    }
}

fn detach_canary(ebpf: &mut Ebpf, rung: Rung) {
    let name = if rung == Rung::Lsm { "lsm_task_prctl" } else { "fentry_task_prctl" };
    let unloaded = match ebpf.program_mut(name) {
        Some(aya::programs::Program::Lsm(program)) => program.unload(),
        Some(aya::programs::Program::FEntry(program)) => program.unload(),
        _ => Ok(()),
    };
    if let Err(error) = unloaded {
        // It only ever writes one word of our own map; staying attached costs a prctl some time.
        tracing::warn!(program = name, error = %brief(&error), "the canary stays attached");
    }
}

/// Attaches each hook's best program.
fn attach_hooks(
    ebpf: &mut Ebpf,
    btf: &Btf,
    kernel_btf: &AyaBtf,
    state: &mut Array<MapData, u64>,
) -> Ladder {
    let active_lsm = std::fs::read_to_string("/sys/kernel/security/lsm").ok();
    let lsm = canary(ebpf, Rung::Lsm, kernel_btf, state);
    let fentry = canary(ebpf, Rung::Fentry, kernel_btf, state);
    let hooks: Vec<HookStatus> =
        HOOKS.iter().map(|hook| attach_hook(ebpf, hook, btf, kernel_btf, &lsm, &fentry)).collect();
    let rules = Rule::ALL.iter().map(|rule| rule_status(*rule, &hooks, ebpf, kernel_btf)).collect();
    let advice = advice(&lsm, &fentry, active_lsm.as_deref());
    Ladder { kernel: kernel_release(), active_lsm, advice, rules, hooks }
}

fn attach_hook(
    ebpf: &mut Ebpf,
    hook: &Hook,
    btf: &Btf,
    kernel_btf: &AyaBtf,
    lsm: &Canary,
    fentry: &Canary,
) -> HookStatus {
    let mut why = Vec::new();
    match lsm {
        Canary::Fires if !btf.has_function(&format!("bpf_lsm_{}", hook.name)) => {
            why.push("this kernel has no such LSM hook".to_owned());
        }
        Canary::Fires => match attach_lsm(ebpf, hook.name, kernel_btf) {
            Ok(()) => return HookStatus { hook: hook.name, rung: Rung::Lsm, why: String::new() },
            Err(error) => why.push(format!("LSM: {}", brief(&error))),
        },
        Canary::Silent(reason) => why.push(format!("BPF LSM: {reason}")),
    }
    match fentry {
        Canary::Fires if !btf.has_function(hook.function) => {
            why.push(format!("this kernel has no function {}", hook.function));
        }
        Canary::Fires => match attach_fentry(ebpf, hook.name, hook.function, kernel_btf) {
            Ok(()) => {
                return HookStatus { hook: hook.name, rung: Rung::Fentry, why: why.join("; ") };
            }
            Err(error) => why.push(format!("fentry: {}", brief(&error))),
        },
        Canary::Silent(reason) => why.push(format!("fentry: {reason}")),
    }
    HookStatus { hook: hook.name, rung: Rung::Blind, why: why.join("; ") }
}

/// A rule is as strong as its weakest hook; where a hook is blind, a tracepoint may see a part.
fn rule_status(rule: Rule, hooks: &[HookStatus], ebpf: &mut Ebpf, btf: &AyaBtf) -> RuleStatus {
    let served = HOOKS.iter().zip(hooks).filter(|(hook, _)| hook.rules.contains(&rule));
    let weakest = served.max_by_key(|(_, status)| status.rung).map(|(_, status)| status);
    let (mut rung, mut why) = match weakest {
        Some(status) if status.why.is_empty() => (status.rung, String::new()),
        Some(status) => (status.rung, format!("{}: {}", status.hook, status.why)),
        None => (Rung::Blind, "no hook".to_owned()),
    };
    if rung == Rung::Blind {
        for substitute in SUBSTITUTES.iter().filter(|substitute| substitute.rule == rule) {
            match attach_tracepoint(ebpf, substitute.tracepoint, btf) {
                Ok(()) => {
                    rung = Rung::Tracepoint;
                    why = format!("sees {}; {why}", substitute.sees);
                }
                Err(error) => why = format!("{why}; tracepoint: {}", brief(&error)),
            }
        }
    }
    let info = bulkhead_policy::catalogue::info(rule);
    RuleStatus { rule: info.id, number: rule, title: info.title, state: state_of(rung), rung, why }
}

fn advice(lsm: &Canary, fentry: &Canary, active: Option<&str>) -> Vec<String> {
    let mut advice = Vec::new();
    if let Canary::Silent(reason) = lsm {
        advice.push(match active {
            Some(list) if !list.split(',').any(|name| name.trim() == "bpf") => format!(
                "add bpf to the kernel's lsm= list (now: {}) and reboot, so that rules can refuse",
                list.trim()
            ),
            _ => format!("a kernel with BPF LSM is needed to refuse anything ({reason})"),
        });
        if let Canary::Silent(reason) = fentry {
            advice.push(format!("fentry is not to be had either ({reason}): most rules are blind"));
        }
    }
    advice
}

fn kernel_release() -> String {
    let read = |path: &Path| std::fs::read_to_string(path);
    match read(Path::new("/proc/sys/kernel/osrelease")) {
        Ok(release) => release.trim().to_owned(),
        Err(error) => format!("unknown ({error})"),
    }
}

/// One line of an error of aya's: the kernel's answer and the verifier's last word.
fn brief(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            if std::env::var_os("BHLOG").is_some() {
                eprintln!("{log}");
            }
            let last = log.lines().rev().find(|line| {
                let statistics = ["processed ", "stack depth ", "verification time "];
                !line.trim().is_empty() && !statistics.iter().any(|word| line.starts_with(word))
            });
            match last {
                Some(line) => format!("{io_error} (verifier: {line})"),
                None => io_error.to_string(),
            }
        }
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    }
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

impl State {
    /// Whether the rule can refuse.
    pub(crate) fn enforces(self) -> bool {
        self == Self::Enforcing
    }
}
