//! Mounts by the old and the new API, and changes of the root. All of them happen in the actor's
//! own mount namespace, which nothing else shares and which ends with it.

use std::{
    ffi::{CStr, CString},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use bulkhead_abi::Rule;
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{chdir, chroot, pivot_root},
};

use crate::prove::{
    actor::{Actor, Report},
    behaviour::{Behaviour, CAP_SYS_ADMIN, CAP_SYS_CHROOT},
    prop::{self, Prop},
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new("mount-tmpfs", "B01", Rule::Mount, "mount a tmpfs", mount_tmpfs)
        .props(&[Prop::Dir("here")])
        .needs(&[CAP_SYS_ADMIN])
        .quick(),
    Behaviour::new("mount-bind", "B01", Rule::Mount, "bind-mount a directory", mount_bind)
        .props(&[Prop::Dir("from"), Prop::Dir("here")])
        .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new("mount-move", "B01", Rule::Mount, "move a mount by the old API", mount_move)
        .props(&[Prop::Tmpfs("from"), Prop::Dir("here")])
        .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new("mount-remount", "B01", Rule::Mount, "change a mount's options", remount)
        .props(&[Prop::Tmpfs("here")])
        .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new(
        "mount-proc",
        "B02",
        Rule::MountProc,
        "mount a fresh procfs, which has no masks",
        mount_proc,
    )
    .props(&[Prop::Dir("here")])
    .needs(&[CAP_SYS_ADMIN])
    .quick(),
    Behaviour::new(
        "mount-sysfs",
        "B02",
        Rule::MountProc,
        "mount a fresh sysfs, which has no masks",
        mount_sysfs,
    )
    .props(&[Prop::Dir("here")])
    .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new(
        "mount-cgroup2",
        "B03",
        Rule::MountCgroup,
        "mount the cgroup hierarchy",
        mount_cgroup2,
    )
    .props(&[Prop::Dir("here")])
    .needs(&[CAP_SYS_ADMIN])
    .quick(),
    Behaviour::new(
        "mount-block",
        "B04",
        Rule::MountBlock,
        "mount a block device (one that does not exist)",
        mount_block,
    )
    .props(&[Prop::Dir("here")])
    .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new(
        "fsmount-tmpfs",
        "B05",
        Rule::Mount,
        "make a detached mount by the new API",
        fsmount_tmpfs,
    )
    .needs(&[CAP_SYS_ADMIN])
    .quick(),
    Behaviour::new(
        "fsmount-proc",
        "B05",
        Rule::MountProc,
        "make a detached procfs by the new API",
        fsmount_proc,
    )
    .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new("move-mount", "B01", Rule::MoveMount, "attach a mount by the new API", attach)
        .props(&[Prop::Tmpfs("from"), Prop::Dir("here")])
        .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new("umount", "B02", Rule::Unmount, "take a mount away", unmount)
        .props(&[Prop::Tmpfs("here")])
        .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new("pivot-root", "B09", Rule::PivotRoot, "exchange the root mount", pivot)
        .props(&[Prop::Tmpfs("here")])
        .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new("chroot", "B09", Rule::Chroot, "change the root directory", change_root)
        .props(&[Prop::Dir("here")])
        .needs(&[CAP_SYS_CHROOT]),
];

const NONE: Option<&str> = None;

/// Mounts a new instance of `kind` on the prop "here".
fn mount_kind(actor: &Actor, source: &Path, kind: &str) -> Report {
    let here = actor.at("here");
    actor.attempt(|| mount(Some(source), &here, Some(kind), MsFlags::empty(), NONE))
}

fn mount_tmpfs(actor: &Actor) -> Report {
    mount_kind(actor, Path::new("tmpfs"), "tmpfs")
}

fn mount_proc(actor: &Actor) -> Report {
    mount_kind(actor, Path::new("proc"), "proc")
}

fn mount_sysfs(actor: &Actor) -> Report {
    mount_kind(actor, Path::new("sysfs"), "sysfs")
}

fn mount_cgroup2(actor: &Actor) -> Report {
    mount_kind(actor, Path::new("cgroup2"), "cgroup2")
}

fn mount_block(actor: &Actor) -> Report {
    match prop::disk_file_system() {
        Some(kind) => mount_kind(actor, Path::new("/dev/bulkhead-prove-no-such-disk"), &kind),
        None => actor.unavailable("this kernel has no file system for block devices loaded"),
    }
}

fn mount_bind(actor: &Actor) -> Report {
    let (from, here) = (actor.at("from"), actor.at("here"));
    actor.attempt(|| mount(Some(&from), &here, NONE, MsFlags::MS_BIND, NONE))
}

fn mount_move(actor: &Actor) -> Report {
    let (from, here) = (actor.at("from"), actor.at("here"));
    actor.attempt(|| mount(Some(&from), &here, NONE, MsFlags::MS_MOVE, NONE))
}

fn remount(actor: &Actor) -> Report {
    let here = actor.at("here");
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID;
    actor.attempt(|| mount(NONE, &here, NONE, flags, NONE))
}

fn fsmount_tmpfs(actor: &Actor) -> Report {
    actor.attempt(|| sys::detached_mount(c"tmpfs"))
}

fn fsmount_proc(actor: &Actor) -> Report {
    actor.attempt(|| sys::detached_mount(c"proc"))
}

fn attach(actor: &Actor) -> Report {
    with_paths(actor, "from", "here", |actor, from, here| {
        actor.attempt(|| sys::move_mount(from, here))
    })
}

fn unmount(actor: &Actor) -> Report {
    let here = actor.at("here");
    actor.attempt(|| umount2(&here, MntFlags::MNT_DETACH))
}

/// The old root stays mounted under the new one (both names are "."), as runc does it.
fn pivot(actor: &Actor) -> Report {
    if let Err(errno) = chdir(&actor.at("here")) {
        return actor.unprepared("cannot enter the new root", errno);
    }
    actor.attempt(|| pivot_root(".", "."))
}

fn change_root(actor: &Actor) -> Report {
    let here = actor.at("here");
    actor.attempt(|| chroot(&here))
}

fn with_paths(
    actor: &Actor,
    one: &str,
    other: &str,
    act: impl FnOnce(&Actor, &CStr, &CStr) -> Report,
) -> Report {
    let c_path = |name| CString::new(actor.at(name).as_os_str().as_bytes());
    match (c_path(one), c_path(other)) {
        (Ok(one), Ok(other)) => act(actor, &one, &other),
        _ => actor.unprepared("a path holds a zero byte", Errno::EINVAL),
    }
}
