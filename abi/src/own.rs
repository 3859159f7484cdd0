//! What is the agent's own.

use crate::shared::shared;

shared! {
    /// A file or directory of the agent's: the key of the map of own files.
    #[derive(PartialEq, Eq, Hash)]
    OwnFile {
        /// Its inode number.
        inode: u64,
        /// Its file system's device, in the kernel's encoding.
        device: u32,
        /// Zero.
        padding: u32,
    }
}

impl OwnFile {
    /// Its key, by the device numbers that stat(2) tells.
    pub const fn new(inode: u64, major: u32, minor: u32) -> Self {
        // linux/kdev_t.h: MKDEV
        Self { inode, device: major << 20 | minor, padding: 0 }
    }
}

/// The bit of a device in a word of bits. Where it is not set, nothing on the device is the agent's;
/// where it is, the map knows: several devices may have the same.
pub const fn own_device(device: u32) -> u64 {
    1 << ((device ^ (device >> 20)) & 63)
}

/// A word for the kernel side about the agent's process: its thread group and its start, in
/// [`START_TICK`]s since boot, so that a process that has its number later is not taken for it.
pub const fn own_process(pid: u32, start_ticks: u64) -> u64 {
    (start_ticks << 24) ^ pid as u64
}

/// The unit in which /proc tells when a process began, in nanoseconds: USER_HZ is 100 everywhere.
pub const START_TICK: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_process_with_the_agents_number_is_another() {
        // The largest pid is 2^22: it never meets the bits of the start.
        assert_ne!(own_process(77, 500), own_process(77, 501));
        assert_ne!(own_process(77, 500), own_process(78, 500));
        assert_eq!(own_process(4_194_304, 0), 4_194_304);
    }

    #[test]
    fn neighbouring_devices_have_bits_of_their_own() {
        let disk = |minor| own_device(OwnFile::new(1, 8, minor).device);
        assert!(disk(1) != disk(2) && disk(1).count_ones() == 1);
        assert_ne!(disk(1), own_device(OwnFile::new(1, 0, 24).device));
    }

    #[test]
    fn devices_are_numbered_as_the_kernel_does() {
        assert_eq!(OwnFile::new(5, 8, 1).device, (8 << 20) | 1);
    }
}
