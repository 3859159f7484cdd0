//! Programs that are executed from where no image put them. What is executed is a line of text, which
//! the kernel refuses as a program after the guard has spoken.

use std::{
    ffi::CString,
    fs::OpenOptions,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::Path,
};

use bulkhead_abi::Rule;
use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::{
        memfd::{MFdFlags, memfd_create},
        stat::Mode,
    },
    unistd::{dup, dup2_stdin, dup2_stdout, execv, fchdir, fexecve, write},
};

use crate::prove::{
    actor::{Actor, Report},
    behaviour::Behaviour,
    prop::{OUTSIDE, OUTSIDE_FILE, Prop},
    sys,
};

const TEXT: &[u8] = b"this is not a program\n";

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "memfd-exec",
        "B33",
        Rule::FilelessExec,
        "execute a file that is memory alone",
        memfd_exec,
    )
    .quick(),
    Behaviour::new(
        "deleted-exec",
        "B33",
        Rule::FilelessExec,
        "execute a deleted file of a tmpfs",
        deleted_exec,
    ),
    Behaviour::new("tmpfs-exec", "B33", Rule::MemoryExec, "execute a file of a tmpfs", |actor| {
        execute(actor, &actor.at("program"))
    }),
    Behaviour::new(
        "dropped-exec",
        "B34",
        Rule::DroppedExec,
        "execute a file that was written over the image",
        |actor| execute(actor, &actor.at("image/program")),
    )
    .props(&[Prop::Overlay("image")])
    .quick(),
    Behaviour::new(
        "socket-shell",
        "B73",
        Rule::SocketShell,
        "execute a file with a TCP connection as standard input and output",
        socket_shell,
    ),
    Behaviour::new(
        "leaked-directory",
        "B61",
        Rule::LeakedDirectory,
        "execute a file from a directory outside the container, by a descriptor left open",
        from_outside,
    )
    .props(&[Prop::Outside])
    .quick(),
    Behaviour::new(
        "outside-file",
        "B60",
        Rule::OutsideFile,
        "open a file outside the container for writing, by a descriptor left open",
        write_outside,
    )
    .props(&[Prop::Outside])
    .quick(),
    Behaviour::new(
        "mprotect-wx",
        "B35",
        Rule::WritableCode,
        "make a written page executable",
        |actor| actor.attempt(sys::make_page_executable),
    ),
];

fn written(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)?.write_all(TEXT)
}

/// Writes a file and runs `act` on its name.
fn with_program(actor: &Actor, path: &Path, act: impl FnOnce(&CString) -> Report) -> Report {
    if let Err(error) = written(path) {
        return actor.unavailable(&format!("cannot write a file: {error}"));
    }
    match CString::new(path.as_os_str().as_bytes()) {
        Ok(name) => act(&name),
        Err(_) => actor.unprepared("a path holds a zero byte", Errno::EINVAL),
    }
}

fn execute(actor: &Actor, path: &Path) -> Report {
    with_program(actor, path, |name| actor.attempt(|| execv(name, &[name])))
}

fn memfd_exec(actor: &Actor) -> Report {
    let file = match memfd_create(c"bulkhead-prove", MFdFlags::MFD_CLOEXEC) {
        Ok(file) => file,
        Err(errno) => return actor.unprepared("memfd_create", errno),
    };
    if let Err(errno) = write(&file, TEXT) {
        return actor.unprepared("a memfd", errno);
    }
    actor.attempt(|| fexecve(&file, &[c"bulkhead-prove"], &[c""]))
}

fn deleted_exec(actor: &Actor) -> Report {
    let path = actor.at("program");
    let opened = written(&path)
        .and_then(|()| std::fs::File::open(&path))
        .and_then(|file| std::fs::remove_file(&path).map(|()| file));
    match opened {
        Ok(file) => actor.attempt(|| fexecve(&file, &[c"bulkhead-prove"], &[c""])),
        Err(error) => actor.unavailable(&format!("cannot write a file: {error}")),
    }
}

/// Both ends of the connection are this process's.
fn socket_shell(actor: &Actor) -> Report {
    let connection = TcpListener::bind("127.0.0.1:0").and_then(|listener| {
        let near = TcpStream::connect(listener.local_addr()?)?;
        Ok((near, listener))
    });
    let (near, _listener) = match connection {
        Ok(connection) => connection,
        Err(error) => return actor.unavailable(&format!("no connection: {error}")),
    };
    with_program(actor, &actor.at("program"), |name| {
        actor.attempt(|| {
            // The report goes out by what standard output is now.
            let kept = dup(std::io::stdout())?;
            dup2_stdin(&near)?;
            dup2_stdout(&near)?;
            let executed = execv(name, &[name]);
            dup2_stdout(&kept)?;
            executed
        })
    })
}

fn from_outside(actor: &Actor) -> Report {
    with_program(actor, &actor.at("program"), |name| {
        actor.attempt(|| {
            fchdir(sys::borrow(OUTSIDE))?;
            execv(name, &[name])
        })
    })
}

/// The scratch directory is a tmpfs here; outside, where it was empty, it holds a file for this.
fn write_outside(actor: &Actor) -> Report {
    let path = actor.at(OUTSIDE_FILE);
    let Ok(path) = path.strip_prefix("/") else {
        return actor.unprepared("a relative path", Errno::EINVAL);
    };
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    actor.attempt(|| openat(sys::borrow(OUTSIDE), path, flags, Mode::empty()))
}
