//! Files that are made, changed, renamed and removed by name.

use bulkhead_abi::{Phase, Rule, Rung, SensitiveFile};
use bulkhead_guard::{files, names};

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments},
    maps::sensitive,
    own, record,
    settle::{PASS, Site, on_file},
};

programs! {
    lsm_path_mknod "lsm/path_mknod", fentry_path_mknod "fentry/security_path_mknod" => path_mknod;
    lsm_path_chmod "lsm/path_chmod", fentry_path_chmod "fentry/security_path_chmod" => path_chmod;
    lsm_inode_setxattr "lsm/inode_setxattr", fentry_inode_setxattr "fentry/security_inode_setxattr" => inode_setxattr;
    lsm_path_symlink "lsm/path_symlink", fentry_path_symlink "fentry/security_path_symlink" => path_symlink;
    lsm_path_link "lsm/path_link", fentry_path_link "fentry/security_path_link" => path_link;
    lsm_path_rename "lsm/path_rename", fentry_path_rename "fentry/security_path_rename" => path_rename;
    lsm_path_unlink "lsm/path_unlink", fentry_path_unlink "fentry/security_path_unlink" => path_unlink;
    lsm_path_truncate "lsm/path_truncate", fentry_path_truncate "fentry/security_path_truncate" => path_truncate;
    lsm_file_truncate "lsm/file_truncate", fentry_file_truncate "fentry/security_file_truncate" => file_truncate;
}

/// Reports `rule` on the file of `dentry`, if there is one to report and a workload acts.
#[inline(always)]
fn on(dentry: u64, rule: Option<Rule>, argument: u64, rung: Rung) -> i32 {
    let Some(rule) = rule else { return PASS };
    let Some(actor) = Actor::current() else { return PASS };
    let site = Site { rung, phase: Phase::Attempted };
    on_file(&actor, rule, [argument, 0, 0], site, record::name_at(dentry), |target| {
        record::fill_file(target, dentry);
    })
}

/// path_mknod(dir, dentry, mode, dev): mknod(2), and open(2) that makes a file.
#[inline(always)]
fn path_mknod(arguments: Arguments, rung: Rung) -> i32 {
    let (mode, device) = (arguments.number(2) as u16, arguments.number(3) as u32);
    let dentry = arguments.address(1);
    let rule = match names::of_made(u32::from(mode), device) {
        Some(rule) => Some(rule),
        None => dropped(dentry),
    };
    on(dentry, rule, u64::from(mode), rung)
}

/// path_chmod(path, mode): chmod(2) and its like, by name and by descriptor.
#[inline(always)]
fn path_chmod(arguments: Arguments, rung: Rung) -> i32 {
    let mode = u32::from(arguments.number(1) as u16);
    let dentry = kernel::path_dentry(arguments.number(0));
    let kind = kernel::dentry_inode(dentry).mode();
    on(dentry, names::of_mode(mode, kind), u64::from(mode), rung)
}

/// inode_setxattr(idmap, dentry, name, value, size, flags).
#[inline(always)]
fn inode_setxattr(arguments: Arguments, rung: Rung) -> i32 {
    if !names::is_capability_attribute(&kernel::read_string(arguments.number(2))) {
        return PASS;
    }
    on(arguments.address(1), Some(Rule::SuidCreated), 0, rung)
}

/// path_symlink(dir, dentry, old_name).
#[inline(always)]
fn path_symlink(arguments: Arguments, rung: Rung) -> i32 {
    if Actor::current().is_none() {
        return PASS;
    }
    let dentry = arguments.address(1);
    let (_length, name) = kernel::dentry_name(dentry);
    let target = kernel::read_string(arguments.number(2));
    let rule = if names::is_mask_link(&kernel::read_string(name), &target) {
        Some(Rule::MaskSymlink)
    } else {
        dropped(dentry)
    };
    on(dentry, rule, 0, rung)
}

/// path_link(old_dentry, new_dir, new_dentry).
#[inline(always)]
fn path_link(arguments: Arguments, rung: Rung) -> i32 {
    let dentry = arguments.address(2);
    on(dentry, dropped(dentry), 0, rung)
}

/// path_rename(old_dir, old_dentry, new_dir, new_dentry, flags).
#[inline(always)]
fn path_rename(arguments: Arguments, rung: Rung) -> i32 {
    let (old, new) = (arguments.address(1), arguments.address(3));
    let flags = arguments.number(4) & 0xffff_ffff;
    let (one, other) = (kernel::dentry_inode(old).mode(), kernel::dentry_inode(new).mode());
    let rule = if names::exchanges_link(flags, one, other) {
        Some(Rule::LinkExchange)
    } else {
        dropped(new)
    };
    on(new, rule, 0, rung)
}

/// path_unlink(dir, dentry).
#[inline(always)]
fn path_unlink(arguments: Arguments, rung: Rung) -> i32 {
    tampered(arguments.address(1), rung)
}

/// path_truncate(path): truncate(2), and up to 6.1 open(2) with O_TRUNC and ftruncate(2).
#[inline(always)]
fn path_truncate(arguments: Arguments, rung: Rung) -> i32 {
    tampered(kernel::path_dentry(arguments.number(0)), rung)
}

/// file_truncate(file), from 6.2: ftruncate(2) and open(2) with O_TRUNC.
#[inline(always)]
fn file_truncate(arguments: Arguments, rung: Rung) -> i32 {
    tampered(kernel::file_dentry(arguments.number(0)), rung)
}

/// Whether the file is a log: in /var/log or up to two directories below.
#[inline(always)]
fn tampered(dentry: u64, rung: Rung) -> i32 {
    // The host's files are the most: nothing is read for them.
    if Actor::current().is_none() {
        return PASS;
    }
    // What an open for writing would meet: truncate(2) opens nothing.
    if own::is_file(dentry) {
        return on(dentry, Some(Rule::OwnFile), 0, rung);
    }
    let mut directory = kernel::dentry_parent(dentry);
    for _ in 0..3 {
        let (_length, name) = kernel::dentry_name(directory);
        let above = kernel::dentry_parent(directory);
        let (_length, above_name) = kernel::dentry_name(above);
        let (name, above_name) = (kernel::read_string(name), kernel::read_string(above_name));
        if names::is_log_directory(&name, &above_name) {
            return on(dentry, Some(Rule::LogTampering), 0, rung);
        }
        directory = above;
    }
    PASS
}

/// The rule for a new name, where the system runs or trusts what it finds under it. The directory's
/// name decides, or the file's own.
#[inline(always)]
fn dropped(dentry: u64) -> Option<Rule> {
    // The host makes most files: it is not asked about any of them.
    Actor::current()?;
    let (_length, directory) = kernel::dentry_name(kernel::dentry_parent(dentry));
    let (_length, name) = kernel::dentry_name(dentry);
    let mut key =
        SensitiveFile { magic: names::DROP_DIRECTORIES, name: kernel::read_string(directory) };
    if let Some(value) = sensitive(&key) {
        return files::unpack(value, files::FMODE_WRITE);
    }
    key = SensitiveFile { magic: names::DROP_NAMES, name: kernel::read_string(name) };
    files::unpack(sensitive(&key)?, files::FMODE_WRITE)
}
