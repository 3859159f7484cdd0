//! Sensitive kernel files and devices, at every open. The only hook on a hot path: what the inode
//! and the superblock say decides before anything is looked up.

use bulkhead_abi::{Phase, Rule, Rung, SENSITIVE_NAME_LEN, SensitiveFile};
use bulkhead_guard::{
    cgroups,
    files::{self, Class},
};

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments, OpenFile},
    maps::{entry_or_host, sensitive},
    record,
    settle::{PASS, Site, on_file},
};

programs! {
    lsm_file_open "lsm/file_open", fentry_file_open "fentry/security_file_open" => file_open;
}

/// file_open(file), after the permission checks.
#[inline(always)]
fn file_open(arguments: Arguments, rung: Rung) -> i32 {
    let file = OpenFile(arguments.object(0));
    let inode = file.inode();
    let (mode, magic) = (inode.mode(), inode.magic());
    let class = files::classify(mode, magic);
    let device = match class {
        Class::Ordinary => return PASS,
        Class::Device => match files::of_device(mode, inode.device_number()) {
            Some(rule) => Some(rule),
            None => return PASS,
        },
        Class::CgroupFile if file.mode() & files::FMODE_WRITE == 0 => return PASS,
        Class::KernelFile | Class::CgroupFile => None,
    };
    let Some(actor) = Actor::current() else { return PASS };
    let rule = match class {
        Class::KernelFile => kernel_file(file, magic),
        Class::CgroupFile => cgroup_file(file, &actor),
        Class::Device | Class::Ordinary => device,
    };
    let Some(rule) = rule else { return PASS };
    // One place reports for all classes: each copy of it would cost the verifier and the stack.
    let numbers = [u64::from(file.flags()), u64::from(file.mode()), 0];
    let (site, dentry) = (Site { rung, phase: Phase::Done }, file.dentry());
    on_file(&actor, rule, numbers, site, record::file_at(dentry), |target| {
        record::fill_file(target, dentry);
    })
}

/// The rule of a kernel file: its own, or its file system's.
#[inline(always)]
fn kernel_file(file: OpenFile, magic: u64) -> Option<Rule> {
    let (_length, name) = kernel::dentry_name(file.dentry());
    let named = SensitiveFile { magic, name: kernel::read_string(name) };
    if let Some(value) = sensitive(&named)
        && let Some(rule) = files::unpack(value, file.mode())
    {
        return Some(rule);
    }
    let whole = SensitiveFile { magic, name: [0; SENSITIVE_NAME_LEN] };
    let value = sensitive(&whole)?;
    files::unpack(value, file.mode())
}

/// A control file belongs to the cgroup whose directory it is in; the directory's inode number is
/// the cgroup's id.
#[inline(always)]
fn cgroup_file(file: OpenFile, actor: &Actor) -> Option<Rule> {
    let directory = kernel::dentry_inode(kernel::dentry_parent(file.dentry()));
    let cgroup = kernel::inode_number(directory);
    let owner = entry_or_host(cgroup);
    let own = cgroups::is_own(&actor.identity, actor.home, &owner, cgroup);
    if own { None } else { Some(Rule::CgroupControl) }
}
