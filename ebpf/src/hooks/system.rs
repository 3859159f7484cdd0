//! What a workload asks of the kernel as a whole: modules, kernels, rings, watches, the clock, the
//! log, credentials.

use bulkhead_abi::{Phase, Rule, Rung};
use bulkhead_guard::system;

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments},
    record,
    settle::{PASS, Site, lone, on_file},
};

programs! {
    lsm_inode_init_security_anon "lsm/inode_init_security_anon", fentry_inode_init_security_anon "fentry/security_inode_init_security_anon" => inode_init_security_anon;
    lsm_kernel_read_file "lsm/kernel_read_file", fentry_kernel_read_file "fentry/security_kernel_read_file" => kernel_read_file;
    lsm_kernel_load_data "lsm/kernel_load_data", fentry_kernel_load_data "fentry/security_kernel_load_data" => kernel_load_data;
    lsm_kernel_module_request "lsm/kernel_module_request", fentry_kernel_module_request "fentry/security_kernel_module_request" => kernel_module_request;
    lsm_settime "lsm/settime", fentry_settime "fentry/security_settime64" => settime;
    lsm_syslog "lsm/syslog", fentry_syslog "fentry/security_syslog" => syslog;
    lsm_path_notify "lsm/path_notify", fentry_path_notify "fentry/security_path_notify" => path_notify;
    lsm_task_fix_setuid "lsm/task_fix_setuid", fentry_task_fix_setuid "fentry/security_task_fix_setuid" => task_fix_setuid;
    lsm_capset "lsm/capset", fentry_capset "fentry/security_capset" => capset;
    lsm_fs_context_parse_param "lsm/fs_context_parse_param", fentry_fs_context_parse_param "fentry/security_fs_context_parse_param" => fs_context_parse_param;
}

#[inline(always)]
fn alone(rule: Rule, arguments: [u64; 3], rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    lone(&actor, rule, arguments, Site { rung, phase: Phase::Attempted })
}

/// inode_init_security_anon(inode, name, context_inode): a ring of io_uring, a userfaultfd.
#[inline(always)]
fn inode_init_security_anon(arguments: Arguments, rung: Rung) -> i32 {
    let name = kernel::text_of(arguments.number(1));
    let Some(rule) = system::of_anonymous(&kernel::read_string(name)) else { return PASS };
    alone(rule, [0; 3], rung)
}

/// kernel_read_file(file, id, contents): finit_module(2), kexec_file_load(2).
#[inline(always)]
fn kernel_read_file(arguments: Arguments, rung: Rung) -> i32 {
    loaded(arguments.number(1) & 0xffff_ffff, rung)
}

/// kernel_load_data(id, contents): init_module(2), kexec_load(2).
#[inline(always)]
fn kernel_load_data(arguments: Arguments, rung: Rung) -> i32 {
    loaded(arguments.number(0) & 0xffff_ffff, rung)
}

#[inline(always)]
fn loaded(kind: u64, rung: Rung) -> i32 {
    let Some(rule) = system::of_loaded(kind) else { return PASS };
    alone(rule, [0; 3], rung)
}

/// kernel_module_request(kmod_name), in the context of whoever used what is not there.
#[inline(always)]
fn kernel_module_request(_arguments: Arguments, rung: Rung) -> i32 {
    alone(Rule::ModuleRequest, [0; 3], rung)
}

/// settime(ts, tz), before its capability check.
#[inline(always)]
fn settime(_arguments: Arguments, rung: Rung) -> i32 {
    alone(Rule::ClockSet, [0; 3], rung)
}

/// syslog(type): syslog(2), and the opening of /proc/kmsg, which `file_open` judges too.
#[inline(always)]
fn syslog(_arguments: Arguments, rung: Rung) -> i32 {
    alone(Rule::KernelDiscovery, [0; 3], rung)
}

/// path_notify(path, mask, obj_type): inotify and fanotify.
#[inline(always)]
fn path_notify(arguments: Arguments, rung: Rung) -> i32 {
    let (mask, kind) = (arguments.number(1), arguments.number(2) as u32);
    if !system::is_wide_watch(mask, kind) {
        return PASS;
    }
    let Some(actor) = Actor::current() else { return PASS };
    let site = Site { rung, phase: Phase::Attempted };
    let dentry = kernel::path_dentry(arguments.number(0));
    on_file(&actor, Rule::FileWatch, [mask, 0, 0], site, record::file_at(dentry), |target| {
        record::fill_file(target, dentry);
    })
}

/// task_fix_setuid(new, old, flags): the setuid family, never an exec.
#[inline(always)]
fn task_fix_setuid(arguments: Arguments, rung: Rung) -> i32 {
    let after = kernel::user_ids(arguments.number(0));
    let before = kernel::user_ids(arguments.number(1));
    if !system::becomes_root(before, after) {
        return PASS;
    }
    alone(Rule::CredentialRaise, [u64::from(before[1]), u64::from(after[1]), 0], rung)
}

/// capset(new, old, effective, inheritable, permitted).
#[inline(always)]
fn capset(arguments: Arguments, rung: Rung) -> i32 {
    let after = kernel::read_or_zero::<u64>(arguments.number(2));
    let before = kernel::held_by(arguments.number(1)).effective;
    let raised = system::raised(before, after);
    if raised == 0 {
        return PASS;
    }
    alone(Rule::CapabilityRaise, [raised, 0, 0], rung)
}

/// fs_context_parse_param(fc, param): fsconfig(2).
#[inline(always)]
fn fs_context_parse_param(arguments: Arguments, rung: Rung) -> i32 {
    let (old_style, depth) = kernel::mount_context(arguments.number(0));
    if !old_style || depth == 0 {
        return PASS;
    }
    alone(Rule::MountParameter, [0; 3], rung)
}
