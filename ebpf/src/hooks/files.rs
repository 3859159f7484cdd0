//! Sensitive kernel files and devices, at every open. The only hook on a hot path: what the inode
//! and the superblock say decides before anything is looked up.

use bulkhead_abi::{Phase, Rule, Rung, SENSITIVE_NAME_LEN, SensitiveFile};
use bulkhead_guard::files::{self, Class};

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments, OpenFile},
    maps::SENSITIVE,
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
    match files::classify(mode, magic) {
        Class::Ordinary => PASS,
        Class::Device => match files::of_device(mode, inode.device_number()) {
            Some(rule) => report(file, rule, rung),
            None => PASS,
        },
        Class::KernelFile => kernel_file(file, magic, rung),
    }
}

#[inline(always)]
fn kernel_file(file: OpenFile, magic: u64, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    let (_length, name) = kernel::dentry_name(file.dentry());
    let named = SensitiveFile { magic, name: kernel::read_string(name) };
    let found = match unsafe { SENSITIVE.get(&named) } {
        Some(value) => files::unpack(*value, file.mode()),
        None => None,
    };
    let rule = match found {
        Some(rule) => rule,
        None => {
            let whole = SensitiveFile { magic, name: [0; SENSITIVE_NAME_LEN] };
            let Some(value) = (unsafe { SENSITIVE.get(&whole) }) else { return PASS };
            let Some(rule) = files::unpack(*value, file.mode()) else { return PASS };
            rule
        }
    };
    settle(&actor, file, rule, rung)
}

#[inline(always)]
fn report(file: OpenFile, rule: Rule, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    settle(&actor, file, rule, rung)
}

#[inline(always)]
fn settle(actor: &Actor, file: OpenFile, rule: Rule, rung: Rung) -> i32 {
    let numbers = [u64::from(file.flags()), u64::from(file.mode()), 0];
    on_file(actor, rule, numbers, Site { rung, phase: Phase::Done }, |target| {
        record::fill_file(target, file.dentry());
    })
}
