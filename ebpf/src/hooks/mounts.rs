//! Mounts by mount(2) and by the new interface, pivot_root, chroot.

use bulkhead_abi::{File, Phase, Rule, Rung, file_target};
use bulkhead_guard::mounts;

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments, Superblock},
    record,
    settle::{PASS, Site, on_file},
};

programs! {
    lsm_sb_mount "lsm/sb_mount", fentry_sb_mount "fentry/security_sb_mount" => sb_mount;
    lsm_sb_kern_mount "lsm/sb_kern_mount", fentry_sb_kern_mount "fentry/security_sb_kern_mount" => sb_kern_mount;
    lsm_move_mount "lsm/move_mount", fentry_move_mount "fentry/security_move_mount" => move_mount;
    lsm_sb_umount "lsm/sb_umount", fentry_sb_umount "fentry/security_sb_umount" => sb_umount;
    lsm_sb_pivotroot "lsm/sb_pivotroot", fentry_sb_pivotroot "fentry/security_sb_pivotroot" => sb_pivotroot;
    lsm_path_chroot "lsm/path_chroot", fentry_path_chroot "fentry/security_path_chroot" => path_chroot;
}

/// sb_mount(dev_name, path, type, flags, data): mount(2), before its capability check.
#[inline(always)]
fn sb_mount(arguments: Arguments, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    let flags = arguments.number(3);
    let fstype = kernel::read_string::<16>(arguments.number(2));
    let source = kernel::read_string::<8>(arguments.number(0));
    let rule = mounts::of_mount(flags, &fstype, &source);
    let site = Site { rung, phase: Phase::Attempted };
    let dentry = kernel::path_dentry(arguments.number(1));
    on_file(&actor, rule, [flags, 0, 0], site, record::file_at(dentry), |file| {
        record::fill_file(file, dentry);
        // SAFETY: `on_file` gives a pointer into the record that it has reserved.
        unsafe { (*file).fstype = fstype };
    })
}

/// sb_kern_mount(sb): mount(2) and fsmount(2), when the superblock stands.
#[inline(always)]
fn sb_kern_mount(arguments: Arguments, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    let superblock = Superblock(arguments.number(0));
    let rule = mounts::of_superblock(superblock.magic(), superblock.is_on_block_device());
    let site = Site { rung, phase: Phase::Done };
    on_file(&actor, rule, [0; 3], site, superblock_target(superblock), |file| {
        fill_superblock(file, superblock);
    })
}

/// move_mount(from, to): move_mount(2), attaching and moving.
#[inline(always)]
fn move_mount(arguments: Arguments, rung: Rung) -> i32 {
    on_path(arguments.number(1), Rule::MoveMount, 0, Site { rung, phase: Phase::Attempted })
}

/// sb_umount(mnt, flags).
#[inline(always)]
fn sb_umount(arguments: Arguments, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    let site = Site { rung, phase: Phase::Done };
    let flags = arguments.number(1) & 0xffff_ffff;
    let superblock = kernel::mount_superblock(arguments.number(0));
    on_file(&actor, Rule::Unmount, [flags, 0, 0], site, superblock_target(superblock), |file| {
        fill_superblock(file, superblock);
    })
}

/// sb_pivotroot(old, new).
#[inline(always)]
fn sb_pivotroot(arguments: Arguments, rung: Rung) -> i32 {
    on_path(arguments.number(1), Rule::PivotRoot, 0, Site { rung, phase: Phase::Attempted })
}

/// path_chroot(path), after its capability check.
#[inline(always)]
fn path_chroot(arguments: Arguments, rung: Rung) -> i32 {
    on_path(arguments.number(0), Rule::Chroot, 0, Site { rung, phase: Phase::Done })
}

#[inline(always)]
fn on_path(path: u64, rule: Rule, flags: u64, site: Site) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    let dentry = kernel::path_dentry(path);
    on_file(&actor, rule, [flags, 0, 0], site, record::file_at(dentry), |file| {
        record::fill_file(file, dentry);
    })
}

/// What tells a superblock from others.
#[inline(always)]
fn superblock_target(superblock: Superblock) -> [u64; 3] {
    let root = kernel::dentry_inode(superblock.root()).number();
    file_target(root, superblock.device(), 0, superblock.magic())
}

#[inline(always)]
fn fill_superblock(file: *mut File, superblock: Superblock) {
    record::fill_file(file, superblock.root());
    // SAFETY: the caller gives a pointer into a record that was reserved.
    unsafe {
        (*file).fstype = kernel::read_string(superblock.type_name());
    }
}
