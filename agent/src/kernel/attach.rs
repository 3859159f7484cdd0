//! Attaching: the best program that this kernel takes for each hook, and the account of it.

use std::{fs::File, os::fd::AsFd, path::Path};

use aya::{
    Btf as AyaBtf, Ebpf,
    maps::{Array, MapData},
    programs::{
        BtfTracePoint, CgroupDevice, CgroupSysctl, FEntry, Lsm, ProgramError, links::FdLink,
    },
};
use aya_obj::generated::bpf_attach_type;
use bulkhead_abi::{Rule, Rung, STATE_CANARY};

use super::{
    bpf,
    btf::Btf,
    hooks::{By, CGROUP_RULES, HOOKS, Hook, SUBSTITUTES},
    ladder::{HookStatus, Ladder, RuleStatus, State, state_of},
    lineage,
    links::{Links, let_go},
    verification::{self, Refused},
};
use crate::node::cgroupfs::CgroupTree;

/// The canary's call: prctl(2) with PR_GET_DUMPABLE (linux/prctl.h), which changes nothing.
const CANARY_OPTION: u64 = 3;

pub(super) fn attach_tracepoint(
    ebpf: &mut Ebpf,
    name: &str,
    btf: &AyaBtf,
) -> Result<FdLink, ProgramError> {
    attach_tracepoint_to(ebpf, name, name, btf)
}

/// Attaches the program `tp_NAME` to a tracepoint of another name.
pub(super) fn attach_tracepoint_to(
    ebpf: &mut Ebpf,
    name: &str,
    tracepoint: &str,
    btf: &AyaBtf,
) -> Result<FdLink, ProgramError> {
    let program: &mut BtfTracePoint = ebpf
        .program_mut(&format!("tp_{name}"))
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)?;
    program.load(tracepoint, btf)?;
    let id = program.attach()?;
    Ok(program.take_link(id)?.into())
}

fn attach_lsm(ebpf: &mut Ebpf, hook: &str, btf: &AyaBtf) -> Result<FdLink, ProgramError> {
    let program: &mut Lsm = ebpf
        .program_mut(&format!("lsm_{hook}"))
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)?;
    if program.fd().is_err() {
        program.load(hook, btf)?;
    }
    let id = program.attach()?;
    Ok(program.take_link(id)?.into())
}

fn attach_fentry(
    ebpf: &mut Ebpf,
    hook: &str,
    function: &str,
    btf: &AyaBtf,
) -> Result<FdLink, ProgramError> {
    let program: &mut FEntry = ebpf
        .program_mut(&format!("fentry_{hook}"))
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)?;
    if program.fd().is_err() {
        program.load(function, btf)?;
    }
    let id = program.attach()?;
    Ok(program.take_link(id)?.into())
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
    let link = match attached {
        Ok(link) => link,
        Err(error) => return Canary::Silent(brief(&error)),
    };
    let heard = match state.set(STATE_CANARY, 0, 0) {
        Ok(()) => {
            nix::sys::prctl::get_dumpable().is_ok()
                && state.get(&STATE_CANARY, 0).is_ok_and(|word| word == CANARY_OPTION)
        }
        Err(_) => false,
    };
    let_go(link);
    if heard {
        Canary::Fires
    } else {
        Canary::Silent("programs load and attach but are never called".to_owned())
    }
}

/// Attaches each hook's best program.
pub(super) fn attach_hooks(
    ebpf: &mut Ebpf,
    btf: &Btf,
    kernel_btf: &AyaBtf,
    state: &mut Array<MapData, u64>,
    links: &mut Links,
) -> Ladder {
    let active_lsm = std::fs::read_to_string("/sys/kernel/security/lsm").ok();
    let lsm = canary(ebpf, Rung::Lsm, kernel_btf, state);
    let fentry = canary(ebpf, Rung::Fentry, kernel_btf, state);
    let (refuses, sees) = (matches!(lsm, Canary::Fires), matches!(fentry, Canary::Fires));
    let refused = verification::load_hooks(ebpf, btf, kernel_btf, refuses, sees);
    let mut hooks = Attaching { ebpf, btf, kernel_btf, links, refused };
    let hooks: Vec<HookStatus> = HOOKS.iter().map(|hook| hooks.hook(hook, &lsm, &fentry)).collect();
    let mut stand_ins = StandIns { links, device: None, sysctl: None };
    let rules = Rule::ALL
        .iter()
        .map(|rule| rule_status(*rule, &hooks, ebpf, kernel_btf, &mut stand_ins))
        .collect();
    let advice = advice(&lsm, &fentry, active_lsm.as_deref());
    let lineage = lineage::attach(ebpf, kernel_btf, links);
    Ladder { kernel: kernel_release(), active_lsm, advice, rules, hooks, lineage }
}

/// Hooks' programs on their way to their hooks.
struct Attaching<'a> {
    ebpf: &'a mut Ebpf,
    btf: &'a Btf,
    kernel_btf: &'a AyaBtf,
    links: &'a mut Links,
    refused: Refused,
}

impl Attaching<'_> {
    /// The best program of a hook that this kernel takes.
    fn hook(&mut self, hook: &Hook, lsm: &Canary, fentry: &Canary) -> HookStatus {
        let held = |rung, why| HookStatus { hook: hook.name, rung, why };
        let mut why = Vec::new();
        match (lsm, verification::lsm_program(hook, self.btf)) {
            (Canary::Fires, None) => why.push("this kernel has no such LSM hook".to_owned()),
            (Canary::Fires, Some(name)) => {
                match self.attach(&name, |ebpf, btf| attach_lsm(ebpf, hook.name, btf)) {
                    Ok(()) => return held(Rung::Lsm, String::new()),
                    Err(error) => why.push(format!("LSM: {}", brief(&error))),
                }
            }
            // The reason is one for all hooks: the advice tells it once.
            (Canary::Silent(_), _) => why.push("no BPF LSM".to_owned()),
        }
        match (fentry, verification::fentry_program(hook, self.btf)) {
            (Canary::Fires, None) => {
                why.push(format!("this kernel has no function {}", hook.function));
            }
            (Canary::Fires, Some(name)) => {
                let function = hook.function;
                match self.attach(&name, |ebpf, btf| attach_fentry(ebpf, hook.name, function, btf))
                {
                    Ok(()) => return held(Rung::Fentry, why.join("; ")),
                    Err(error) => why.push(format!("fentry: {}", brief(&error))),
                }
            }
            (Canary::Silent(_), _) => why.push("no fentry".to_owned()),
        }
        held(Rung::Blind, why.join("; "))
    }

    /// Attaches a program and holds its link, unless the kernel has refused it before.
    fn attach(
        &mut self,
        name: &str,
        attach: impl FnOnce(&mut Ebpf, &AyaBtf) -> Result<FdLink, ProgramError>,
    ) -> Result<(), ProgramError> {
        if let Some(error) = self.refused.remove(name) {
            return Err(error);
        }
        let link = attach(self.ebpf, self.kernel_btf)?;
        self.links.hold(name, link);
        Ok(())
    }
}

/// A rule is as strong as its weakest hook; where a hook is blind, a tracepoint may see a part.
fn rule_status(
    rule: Rule,
    hooks: &[HookStatus],
    ebpf: &mut Ebpf,
    btf: &AyaBtf,
    stand_ins: &mut StandIns<'_>,
) -> RuleStatus {
    let served = HOOKS.iter().zip(hooks).filter(|(hook, status)| {
        hook.rules.contains(&rule) && !(hook.covered && status.rung == Rung::Blind)
    });
    let weakest = served.max_by_key(|(_, status)| status.rung).map(|(_, status)| status);
    let (mut rung, mut why) = match weakest {
        Some(status) if status.why.is_empty() => (status.rung, String::new()),
        Some(status) => (status.rung, format!("{}: {}", status.hook, status.why)),
        None => (Rung::Blind, "no hook".to_owned()),
    };
    let mut complete = true;
    for (by, _) in CGROUP_RULES.iter().filter(|(_, it)| *it == rule) {
        match stand_ins.attach(*by, ebpf, btf) {
            Ok(found) => (rung, why) = (found, String::new()),
            Err(error) => why = error,
        }
    }
    if rung == Rung::Blind {
        for substitute in SUBSTITUTES.iter().filter(|substitute| substitute.rule == rule) {
            match stand_ins.attach(substitute.by, ebpf, btf) {
                Ok(found) => {
                    (rung, complete) = (found, substitute.complete);
                    why = format!("meets {}; {why}", substitute.meets);
                }
                Err(error) => why = format!("{why}; {error}"),
            }
        }
    }
    let state = match state_of(rung) {
        State::Enforcing if !complete => State::Observing,
        state => state,
    };
    let info = bulkhead_policy::catalogue::info(rule);
    RuleStatus { rule: info.id, number: rule, title: info.title, state, rung, why }
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
pub(super) fn brief(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
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

/// What stands in where hooks cannot be attached. The cgroup programs are attached once each, at
/// the root of the tree: the host is let pass by the same lookup as everywhere.
struct StandIns<'a> {
    links: &'a mut Links,
    device: Option<Result<(), String>>,
    sysctl: Option<Result<(), String>>,
}

impl StandIns<'_> {
    /// Attaches one, and says on which rung it is.
    fn attach(&mut self, by: By, ebpf: &mut Ebpf, btf: &AyaBtf) -> Result<Rung, String> {
        match by {
            By::Tracepoint(name) => {
                let link = attach_tracepoint(ebpf, name, btf)
                    .map_err(|error| format!("tracepoint: {}", brief(&error)))?;
                self.links.hold(&format!("tp_{name}"), link);
                Ok(Rung::Tracepoint)
            }
            By::Device => {
                let links = &mut *self.links;
                let attach = || attach_device(ebpf, links, "cgroup_device");
                self.device.get_or_insert_with(attach).clone()?;
                Ok(Rung::Cgroup)
            }
            By::Grants => {
                attach_device(ebpf, self.links, "cgroup_grants")?;
                Ok(Rung::Cgroup)
            }
            By::Sysctl => {
                let links = &mut *self.links;
                self.sysctl.get_or_insert_with(|| attach_sysctl(ebpf, links)).clone()?;
                Ok(Rung::Cgroup)
            }
        }
    }
}

fn attach_device(ebpf: &mut Ebpf, links: &mut Links, name: &str) -> Result<(), String> {
    let root = cgroup_root()?;
    let attached =
        ebpf.program_mut(name).ok_or(ProgramError::NotLoaded).and_then(TryInto::try_into).and_then(
            |program: &mut CgroupDevice| {
                program.load()?;
                let program = program.fd()?.as_fd();
                Ok(bpf::attach(program, root.as_fd(), bpf_attach_type::BPF_CGROUP_DEVICE)?)
            },
        );
    attached
        .map(|link| links.hold(name, link))
        .map_err(|error| format!("cgroup program: {}", brief(&error)))
}

fn attach_sysctl(ebpf: &mut Ebpf, links: &mut Links) -> Result<(), String> {
    let root = cgroup_root()?;
    let attached = ebpf
        .program_mut("cgroup_sysctl")
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)
        .and_then(|program: &mut CgroupSysctl| {
            program.load()?;
            let program = program.fd()?.as_fd();
            Ok(bpf::attach(program, root.as_fd(), bpf_attach_type::BPF_CGROUP_SYSCTL)?)
        });
    attached
        .map(|link| links.hold("cgroup_sysctl", link))
        .map_err(|error| format!("cgroup program: {}", brief(&error)))
}

fn cgroup_root() -> Result<File, String> {
    let tree = CgroupTree::find().map_err(|error| format!("cgroup program: {error}"))?;
    File::open(tree.mount()).map_err(|error| format!("{}: {error}", tree.mount().display()))
}
