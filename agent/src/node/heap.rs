//! The heap of this process.
#![allow(unsafe_code)]

#[cfg(target_env = "gnu")]
use nix::{errno::Errno, libc};

/// Pieces of this size are large, and so much may lie free at a heap's end: the C library's own measures at
/// its start.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 128 << 10;

/// Large pieces come from the node and go back to it, and so does a heap's free end. Left to itself, the C
/// library raises both measures with what it sees given back. And no huge pages are made of a heap with
/// holes (khugepaged), which would fill them. Call it while there is one thread.
pub(crate) fn keep_small() -> nix::Result<()> {
    nix::sys::prctl::set_thp_disable(true)?;
    #[cfg(target_env = "gnu")]
    for measure in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt(3) takes two numbers, and there is one thread.
        if unsafe { libc::mallopt(measure, LARGE) } == 0 {
            return Err(Errno::EINVAL);
        }
    }
    Ok(())
}

/// Gives memory that is free back to the node. What loading the programs leaves, some 25 MiB, would be held
/// for good: the C library gives back by itself only what is free at a heap's end.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes a number, may be called at any time by any thread, and changes nothing
    // that is in use.
    unsafe {
        // Whether there was anything.
        let _released = libc::malloc_trim(0);
    }
}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    use super::*;

    const PIECES: usize = 16 << 10;

    fn resident_kib() -> u64 {
        procfs::process::Process::myself().unwrap().status().unwrap().vmrss.unwrap()
    }

    #[test]
    fn what_is_free_below_something_in_use_is_given_back() {
        let mut pieces: Vec<Vec<u8>> = (0..PIECES).map(|_| vec![1; 4 << 10]).collect();
        let last = pieces.pop();
        drop(pieces);
        let before = resident_kib();
        give_back();
        let after = resident_kib();
        assert!(after + (32 << 10) < before, "{before} KiB before, {after} KiB after");
        drop(last);
    }
}
