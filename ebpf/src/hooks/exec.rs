//! Programs that are executed, and memory that becomes code.

use bulkhead_abi::{Phase, Rule, Rung};
use bulkhead_guard::exec::{self, Program};

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments, Task},
    record,
    settle::{PASS, Site, lone, on_file},
};

programs! {
    lsm_bprm_check_security "lsm/bprm_check_security", fentry_bprm_check_security "fentry/security_bprm_check" => bprm_check_security;
    lsm_file_mprotect "lsm/file_mprotect", fentry_file_mprotect "fentry/security_file_mprotect" => file_mprotect;
}

/// bprm_check_security(bprm): the program, and after it the interpreter that it names.
#[inline(always)]
fn bprm_check_security(arguments: Arguments, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    let file = kernel::program_file(arguments.number(0));
    let (inode, dentry) = (kernel::file_inode(file), kernel::file_dentry(file));
    let program = Program {
        magic: inode.superblock().magic(),
        links: inode.links(),
        upper: kernel::in_upper_layer(dentry),
    };
    let task = kernel::address_of(Task::current().0);
    let families = [0, 1].map(|descriptor| kernel::socket_family_at(task, descriptor));
    let directory = kernel::directory_namespace(task);
    let rule = match exec::of_program(program) {
        _ if exec::is_outside(directory, Task::current().mount_namespace()) => {
            Rule::LeakedDirectory
        }
        Some(Rule::FilelessExec) => Rule::FilelessExec,
        _ if exec::is_socket_shell(families[0], families[1]) => Rule::SocketShell,
        Some(rule) => rule,
        None => return PASS,
    };
    let site = Site { rung, phase: Phase::Attempted };
    on_file(&actor, rule, [0; 3], site, record::file_at(dentry), |target| {
        record::fill_file(target, dentry);
    })
}

/// file_mprotect(vma, reqprot, prot).
#[inline(always)]
fn file_mprotect(arguments: Arguments, rung: Rung) -> i32 {
    let protection = arguments.number(2);
    if !exec::asks_to_execute(protection) {
        return PASS;
    }
    if !exec::is_writable(kernel::memory_flags(arguments.number(0)), protection) {
        return PASS;
    }
    let Some(actor) = Actor::current() else { return PASS };
    lone(&actor, Rule::WritableCode, [0; 3], Site { rung, phase: Phase::Attempted })
}
