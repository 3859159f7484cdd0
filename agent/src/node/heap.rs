//! The heap of this process.
#![allow(unsafe_code)]

/// Gives memory that is free back to the node. What loading the programs leaves, some 25 MiB, would be held
/// for good: the C library gives back by itself only what is free at the heap's end, and the kernel makes huge
/// pages of a heap with holes (khugepaged), which fills them again.
pub(crate) fn give_back() -> nix::Result<()> {
    nix::sys::prctl::set_thp_disable(true)?;
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes a number, may be called at any time by any thread, and changes nothing
    // that is in use.
    unsafe {
        // Whether there was anything.
        let _released = nix::libc::malloc_trim(0);
    }
    Ok(())
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
        give_back().unwrap();
        let after = resident_kib();
        assert!(after + (32 << 10) < before, "{before} KiB before, {after} KiB after");
        drop(last);
    }
}
