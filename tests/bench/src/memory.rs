//! Mapping memory.
#![allow(unsafe_code)]

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::clock::Measure;

const LENGTH: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

pub(crate) fn mmap() -> Result<Measure> {
    Measure::of_loop(30, || {
        let (protection, flags) = (ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory
        // that is in use.
        let page = unsafe { mmap_anonymous(None, LENGTH, protection, flags) };
        let page = page.context("cannot map a page")?;
        // SAFETY: the page was mapped just above with this length, and nothing points into it.
        unsafe { munmap(page, LENGTH.get()) }.context("cannot unmap the page")
    })
}
