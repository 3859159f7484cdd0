//! Processes: asking for one's number, signalling oneself, forking, starting a program.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Pid};

use crate::NOTHING;
use crate::clock::Measure;

pub(crate) fn getpid() -> Result<Measure> {
    let pid = Pid::this();
    Measure::of_loop(5000, || {
        ensure!(unistd::getpid() == pid, "getpid lies");
        Ok(())
    })
}

pub(crate) fn signal() -> Result<Measure> {
    let pid = Pid::this();
    // Ignored unless a handler is set: the permission is checked, nothing is delivered.
    Measure::of_loop(2000, || kill(pid, Signal::SIGURG).context("cannot signal myself"))
}

pub(crate) fn fork() -> Result<Measure> {
    Measure::of_loop(20, || {
        // SAFETY: this program has one thread, and the child only exits.
        match unsafe { unistd::fork() }.context("cannot fork")? {
            // SAFETY: ends the child at once, without running what the parent registered.
            ForkResult::Child => unsafe { nix::libc::_exit(0) },
            ForkResult::Parent { child } => expect_success(child),
        }
    })
}

pub(crate) fn fork_exec() -> Result<Measure> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let program = CString::new(program.as_os_str().as_bytes())?;
    let arguments = [program.clone(), CString::new(NOTHING)?];
    let environment: [CString; 0] = [];
    Measure::of_loop(20, || {
        // SAFETY: this program has one thread, and the child only executes another program.
        match unsafe { unistd::fork() }.context("cannot fork")? {
            ForkResult::Child => {
                // It returns only if it fails, and the exit status tells why.
                let Err(errno) = unistd::execve(&program, &arguments, &environment);
                // SAFETY: ends the child at once, without running what the parent registered.
                unsafe { nix::libc::_exit(errno as i32) }
            }
            ForkResult::Parent { child } => expect_success(child),
        }
    })
}

fn expect_success(child: Pid) -> Result<()> {
    match waitpid(child, None).context("cannot wait for the child")? {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => bail!("the child ended with {other:?}"),
    }
}
