//! Sensitive kernel files and devices, at every open. The only hook on a hot path: what the inode
//! and the superblock say decides before anything is looked up.

use bulkhead_abi::{Identity, Phase, Relation, Rule, Rung, SENSITIVE_NAME_LEN, SensitiveFile};
use bulkhead_guard::{
    cgroups, exec,
    files::{self, Class},
    mounts::PROC_SUPER_MAGIC,
    relation::relation,
};

use super::programs;
use crate::{
    actor::{self, Actor},
    kernel::{self, Arguments, OpenFile, Task, TaskAddress},
    maps::{entry_or_host, sensitive},
    own, record,
    settle::{PASS, Site, on_file_of, plain},
};

programs! {
    lsm_file_open "lsm/file_open", fentry_file_open "fentry/security_file_open" => file_open, unless is_ordinary;
}

/// A rule that an opening met, and whose the file is where that matters.
struct Met {
    rule: Rule,
    relation: Relation,
    owner: Identity,
    owned: bool,
}

impl Met {
    #[inline(always)]
    fn ownerless(rule: Rule) -> Self {
        Self { rule, relation: Relation::None, owner: Identity::HOST, owned: false }
    }
}

/// Whether an opening is one of those that no rule is about: nearly all of them. It is asked for each
/// opening on the node, so that single instructions count: what the verifier lets be loaded without a
/// check of the address comes first, and the superblock, which it does not, last.
#[inline(always)]
fn is_ordinary(arguments: Arguments) -> bool {
    let file = OpenFile(arguments.object(0));
    let inode = file.inode();
    !kernel::is_written_or_device(file, inode)
        && (inode.blocks() != 0 || files::is_frequent(inode.magic()))
}

/// file_open(file), after the permission checks.
#[inline(never)]
fn file_open(arguments: Arguments, rung: Rung) -> i32 {
    plain(opening(arguments, rung))
}

#[inline(always)]
fn opening(arguments: Arguments, rung: Rung) -> i32 {
    let file = OpenFile(arguments.object(0));
    let inode = file.inode();
    let (mode, magic) = (inode.mode(), inode.magic());
    let class = files::classify(mode, magic);
    let device = match class {
        Class::Ordinary if file.mode() & files::FMODE_WRITE == 0 => return PASS,
        Class::Ordinary if !own::is_on_device(inode.device()) && !is_outside(file) => return PASS,
        Class::Ordinary => None,
        Class::Device => match files::of_device(mode, inode.device_number()) {
            Some(rule) => Some(rule),
            None => return PASS,
        },
        Class::CgroupFile if file.mode() & files::FMODE_WRITE == 0 => return PASS,
        Class::KernelFile | Class::CgroupFile | Class::Namespace => None,
    };
    let Some(actor) = Actor::current() else { return PASS };
    let mut met = Met::ownerless(Rule::BlockDevice);
    let found = match class {
        Class::KernelFile => kernel_file(file, magic, &actor, &mut met),
        Class::CgroupFile => cgroup_file(file, &actor, &mut met),
        Class::Namespace => namespace(file, &actor, &mut met),
        Class::Ordinary => ordinary(file, &actor, &mut met),
        Class::Device => match device {
            Some(rule) => {
                met.rule = rule;
                true
            }
            None => false,
        },
    };
    if !found {
        return PASS;
    }
    // One place reports for all classes: each copy of it would cost the verifier and the stack.
    let numbers = [u64::from(file.flags()), u64::from(file.mode()), 0];
    let (site, dentry) = (Site { rung, phase: Phase::Done }, file.dentry());
    let which = record::file_at(dentry);
    on_file_of(&actor, met.rule, met.relation, numbers, site, which, |target| {
        record::fill_file(target, dentry);
        if met.owned {
            // SAFETY: `on_file_of` gives a pointer into the record that it has reserved.
            unsafe { record::fill_owner(target, met.owner) };
        }
    })
}

/// Whether the file's mount is in another mount namespace than the task that opens it.
#[inline(always)]
fn is_outside(file: OpenFile) -> bool {
    exec::is_outside(file.mount_namespace(), Task::current().mount_namespace())
}

/// A file that no kernel file system has made: the agent's, or somebody else's.
#[inline(always)]
fn ordinary(file: OpenFile, actor: &Actor, met: &mut Met) -> bool {
    if own::is_file(file.dentry()) {
        met.rule = Rule::OwnFile;
        return true;
    }
    is_outside(file) && outside(file, actor, met)
}

/// A file of somebody else's mount namespace, reached by a descriptor or a link in /proc.
#[inline(always)]
fn outside(file: OpenFile, actor: &Actor, met: &mut Met) -> bool {
    let Some(owner) = actor::owner_of_namespace(file.mount_namespace()) else { return false };
    met.rule = Rule::OutsideFile;
    met.owner = owner;
    met.owned = true;
    !matches!(relation(&actor.identity, &owner), Relation::Own)
}

/// A namespace, opened through a link in /proc (which ptrace_access_check has judged) or where it is
/// bind-mounted (which nothing else has).
#[inline(always)]
fn namespace(file: OpenFile, actor: &Actor, met: &mut Met) -> bool {
    let number = file.inode().address().number() as u32;
    let Some(owner) = actor::owner_of_namespace(number) else { return false };
    met.rule = Rule::NamespaceDescriptor;
    met.relation = relation(&actor.identity, &owner);
    met.owner = owner;
    met.owned = true;
    !matches!(met.relation, Relation::Own)
}

/// A file of procfs that tells about a process: whose that is. `None` where it is about none.
#[inline(always)]
fn process_file(file: OpenFile, actor: &Actor, met: &mut Met) -> Option<bool> {
    let inode = kernel::address_of(file.inode().0);
    let task = kernel::task_of_proc_inode(inode);
    if task == 0 {
        return None;
    }
    if files::is_private(kernel::InodeAddress(inode).mode()) {
        return Some(false);
    }
    let cgroup = TaskAddress(task).cgroup();
    if cgroup == TaskAddress(kernel::address_of(Task::current().0)).cgroup() {
        return Some(false);
    }
    met.owner = actor::identity_at(cgroup);
    met.owned = true;
    met.rule = files::of_process_file(file.mode());
    met.relation = relation(&actor.identity, &met.owner);
    Some(!matches!(met.relation, Relation::Own))
}

/// The rule of a kernel file: its own, or its file system's.
#[inline(always)]
fn kernel_file(file: OpenFile, magic: u64, actor: &Actor, met: &mut Met) -> bool {
    if magic == PROC_SUPER_MAGIC
        && let Some(found) = process_file(file, actor, met)
    {
        return found;
    }
    match named_file(file, magic) {
        Some(rule) => {
            met.rule = rule;
            true
        }
        None => false,
    }
}

#[inline(always)]
fn named_file(file: OpenFile, magic: u64) -> Option<Rule> {
    let (_length, name) = kernel::dentry_name(file.dentry());
    let mut key = SensitiveFile { magic, name: kernel::read_string(name) };
    if let Some(value) = sensitive(&key)
        && let Some(rule) = files::unpack(value, file.mode())
    {
        return Some(rule);
    }
    // The same key again: two would not find room on the stack.
    key.name = [0; SENSITIVE_NAME_LEN];
    let value = sensitive(&key)?;
    files::unpack(value, file.mode())
}

/// A control file belongs to the cgroup whose directory it is in; the directory's inode number is
/// the cgroup's id.
#[inline(always)]
fn cgroup_file(file: OpenFile, actor: &Actor, met: &mut Met) -> bool {
    let cgroup = kernel::dentry_inode(kernel::dentry_parent(file.dentry())).number();
    let owner = entry_or_host(cgroup);
    met.rule = Rule::CgroupControl;
    !cgroups::is_own(&actor.identity, actor.home, &owner, cgroup)
}
