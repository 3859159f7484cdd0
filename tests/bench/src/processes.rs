//! Processes: asking for one's number, signalling oneself, forking, starting a program.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Pid};

use crate::NOTHING;
use crate::clock::Measure;

pub(crate) fn getpid() -> Result<Measure> {
    let pid = Pid::this();
    Measure::of_loop(1000, || {
        ensure!(unistd::getpid() == pid, "getpid lies");
        Ok(())
    })
}

pub(crate) fn signal() -> Result<Measure> {
    let pid = Pid::this();
    // Ignored unless a handler is set: the permission is checked, nothing is delivered.
    Measure::of_loop(250, || kill(pid, Signal::SIGURG).context("cannot signal myself"))
}

/// A signal to another process, which waits for it, and one back: two signals that arrive.
pub(crate) fn signal_and_back() -> Result<Measure> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    signals.thread_block().context("cannot hold signals back")?;
    let parent = Pid::this();
    // SAFETY: this program has one thread, and the child only signals and waits.
    let child = match unsafe { unistd::fork() }.context("cannot fork")? {
        ForkResult::Child => {
            while signals.wait().is_ok() && kill(parent, Signal::SIGUSR1).is_ok() {}
            // SAFETY: ends the child at once, without running what the parent registered.
            unsafe { nix::libc::_exit(1) }
        }
        ForkResult::Parent { child } => child,
    };
    let measure = Measure::of_loop(10, || {
        kill(child, Signal::SIGUSR1).context("cannot signal the child")?;
        signals.wait().context("cannot wait for a signal")?;
        Ok(())
    });
    kill(child, Signal::SIGKILL).context("cannot end the child")?;
    waitpid(child, None).context("cannot wait for the child")?;
    signals.thread_unblock().context("cannot let signals through")?;
    measure
}

pub(crate) fn fork() -> Result<Measure> {
    Measure::of_loop(1, || {
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
    Measure::of_loop(1, || {
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
