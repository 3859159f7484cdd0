//! Acts against the agent: its files, and what is pinned on a BPF file system, lose or get a name.
//! (Openings are `files.rs`'s, truncation is `names.rs`'s, sockets are `descriptors.rs`'s, its process
//! is `processes.rs`'s.)

use bulkhead_abi::{Phase, Rule, Rung};
use bulkhead_guard::files;

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments},
    own, record,
    settle::{PASS, Site, on_file},
};

programs! {
    lsm_inode_unlink "lsm/inode_unlink", fentry_inode_unlink "fentry/security_inode_unlink" => in_directory;
    lsm_inode_rmdir "lsm/inode_rmdir", fentry_inode_rmdir "fentry/security_inode_rmdir" => in_directory;
    lsm_inode_mkdir "lsm/inode_mkdir", fentry_inode_mkdir "fentry/security_inode_mkdir" => in_directory;
    lsm_inode_symlink "lsm/inode_symlink", fentry_inode_symlink "fentry/security_inode_symlink" => in_directory;
    lsm_inode_link "lsm/inode_link", fentry_inode_link "fentry/security_inode_link" => inode_link;
    lsm_inode_rename "lsm/inode_rename", fentry_inode_rename "fentry/security_inode_rename" => inode_rename;
}

/// All begin with (directory, dentry, ...).
#[inline(always)]
fn in_directory(arguments: Arguments, rung: Rung) -> i32 {
    at(kernel::address_of(arguments.object(1)), 0, rung)
}

/// inode_link(old_dentry, dir, new_dentry): under another name it would be anybody's.
#[inline(always)]
fn inode_link(arguments: Arguments, rung: Rung) -> i32 {
    let (old, new) = (arguments.object(0), arguments.object(2));
    at(kernel::address_of(old), kernel::address_of(new), rung)
}

/// inode_rename(old_dir, old_dentry, new_dir, new_dentry).
#[inline(always)]
fn inode_rename(arguments: Arguments, rung: Rung) -> i32 {
    let (old, new) = (arguments.object(1), arguments.object(3));
    at(kernel::address_of(old), kernel::address_of(new), rung)
}

/// A name goes, comes, or both: `other` is 0 where there is one alone. No name ever leaves its file
/// system, so that the first tells which it is.
#[inline(always)]
fn at(dentry: u64, other: u64, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    let rule = if files::is_bpf_filesystem(kernel::dentry_superblock(dentry).magic()) {
        Rule::PinnedName
    } else if own::is_file(dentry) || (other != 0 && own::is_file(other)) {
        Rule::OwnFile
    } else {
        return PASS;
    };
    let site = Site { rung, phase: Phase::Attempted };
    on_file(&actor, rule, [0; 3], site, record::name_at(dentry), |target| {
        record::fill_file(target, dentry);
    })
}
