//! Files made, changed, renamed and removed in the actor's own scratch directory, by names and modes
//! that mean something elsewhere.

use std::path::Path;

use bulkhead_abi::Rule;
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, RenameFlags, open, renameat2},
    sys::stat::{FchmodatFlags, Mode, SFlag, fchmod, fchmodat, makedev, mknod},
    unistd::{symlinkat, truncate, unlink},
};

use crate::prove::{
    actor::{Actor, Report},
    behaviour::{Behaviour, CAP_MKNOD, CAP_SETFCAP},
    prop::{NO_SUCH_BLOCK_MAJOR, Prop},
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "mknod-block",
        "B43",
        Rule::SpecialFile,
        "make a node of a block device that does not exist",
        make_node,
    )
    .needs(&[CAP_MKNOD])
    .quick(),
    Behaviour::new("chmod-suid", "B67", Rule::SuidCreated, "set the set-user-id bit", |actor| {
        on_file(actor, "program", |path| {
            let mode = Mode::from_bits_truncate(0o4755);
            actor.attempt(|| fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink))
        })
    })
    .quick(),
    Behaviour::new(
        "fchmod-suid",
        "B67",
        Rule::SuidCreated,
        "set the set-user-id bit by descriptor",
        fchmod_suid,
    ),
    Behaviour::new(
        "create-suid",
        "B67",
        Rule::SuidCreated,
        "make a file that is set-user-id from its beginning",
        create_suid,
    ),
    Behaviour::new(
        "file-capability",
        "B67",
        Rule::SuidCreated,
        "give a file a capability",
        |actor| on_file(actor, "program", |path| actor.attempt(|| sys::give_file_capability(path))),
    )
    .needs(&[CAP_SETFCAP]),
    Behaviour::new(
        "mask-symlink",
        "B62",
        Rule::MaskSymlink,
        "link a name that the runtime mounts over into /proc",
        |actor| {
            let at = actor.at("null");
            actor.attempt(|| symlinkat("/proc/sys/kernel", AT_FDCWD, &at))
        },
    )
    .quick(),
    Behaviour::new(
        "exchange-symlink",
        "B63",
        Rule::LinkExchange,
        "exchange a symbolic link with a file in one step",
        exchange,
    ),
    Behaviour::new("log-truncate", "B74", Rule::LogTampering, "empty a log", |actor| {
        on_file(actor, "var/log/prove", |path| actor.attempt(|| truncate(path, 0)))
    })
    .props(LOGS),
    Behaviour::new("log-open-truncate", "B74", Rule::LogTampering, "open a log anew", |actor| {
        on_file(actor, "var/log/prove", |path| {
            let flags = OFlag::O_WRONLY | OFlag::O_TRUNC | OFlag::O_CLOEXEC;
            actor.attempt(|| open(path, flags, Mode::empty()))
        })
    })
    .props(LOGS),
    Behaviour::new("log-unlink", "B74", Rule::LogTampering, "remove a log", |actor| {
        on_file(actor, "var/log/prove", |path| actor.attempt(|| unlink(path)))
    })
    .props(LOGS),
    Behaviour::new(
        "cron-drop",
        "B76",
        Rule::PersistenceDrop,
        "make a file in a directory called cron.d",
        |actor| {
            let path = actor.at("cron.d/prove");
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC;
            actor.attempt(|| open(&path, flags, Mode::S_IRUSR))
        },
    )
    .props(&[Prop::Dir("cron.d")]),
    Behaviour::new(
        "cron-rename",
        "B76",
        Rule::PersistenceDrop,
        "move a file into a directory called cron.d",
        |actor| {
            let to = actor.at("cron.d/prove");
            on_file(actor, "prove", |path| {
                let none = RenameFlags::empty();
                actor.attempt(|| renameat2(AT_FDCWD, path, AT_FDCWD, &to, none))
            })
        },
    )
    .props(&[Prop::Dir("cron.d")]),
];

const LOGS: &[Prop] = &[Prop::Dir("var"), Prop::Dir("var/log")];

/// Makes a file and runs `act` on its path.
fn on_file(actor: &Actor, name: &str, act: impl FnOnce(&Path) -> Report) -> Report {
    let path = actor.at(name);
    match std::fs::write(&path, b"bulkhead prove\n") {
        Ok(()) => act(&path),
        Err(error) => actor.unavailable(&format!("cannot write a file: {error}")),
    }
}

fn make_node(actor: &Actor) -> Report {
    let (path, device) = (actor.at("disk"), makedev(NO_SUCH_BLOCK_MAJOR, 1));
    actor.attempt(|| mknod(&path, SFlag::S_IFBLK, Mode::S_IRUSR, device))
}

fn fchmod_suid(actor: &Actor) -> Report {
    on_file(actor, "program", |path| match std::fs::File::open(path) {
        Ok(file) => actor.attempt(|| fchmod(&file, Mode::from_bits_truncate(0o4755))),
        Err(_) => actor.unprepared("a file of one's own", Errno::EIO),
    })
}

fn create_suid(actor: &Actor) -> Report {
    let path = actor.at("program");
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC;
    actor.attempt(|| open(&path, flags, Mode::from_bits_truncate(0o4700)))
}

fn exchange(actor: &Actor) -> Report {
    let link = actor.at("link");
    if let Err(errno) = symlinkat("file", AT_FDCWD, &link) {
        return actor.unprepared("a symbolic link", errno);
    }
    on_file(actor, "file", |path| {
        let flags = RenameFlags::RENAME_EXCHANGE;
        actor.attempt(|| renameat2(AT_FDCWD, &link, AT_FDCWD, path, flags))
    })
}
