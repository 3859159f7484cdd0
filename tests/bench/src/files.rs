//! Reading, opening and asking about an ordinary file.

use std::fs::File;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, stat as stat_path};
use nix::unistd;

use crate::clock::Measure;

/// A small file that is on the disk of any node.
const PATH: &str = "/etc/passwd";

pub(crate) fn read() -> Result<Measure> {
    let file = File::open("/dev/zero").context("cannot open /dev/zero")?;
    let mut byte = [0];
    Measure::of_loop(500, || {
        unistd::read(file.as_fd(), &mut byte)?;
        Ok(())
    })
}

pub(crate) fn open_close() -> Result<Measure> {
    Measure::of_loop(40, || {
        // The descriptor is closed where it is dropped.
        drop(open(PATH, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?);
        Ok(())
    })
}

pub(crate) fn stat() -> Result<Measure> {
    Measure::of_loop(50, || {
        stat_path(PATH)?;
        Ok(())
    })
}
