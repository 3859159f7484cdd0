//! A process's program, and its SHA-256.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::OpenOptionsExt,
    },
};

use bulkhead_policy::event::Text;
use nix::{
    fcntl::OFlag,
    sys::statfs::{TMPFS_MAGIC, fstatfs},
};
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, statx};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::bounded;

/// A larger program is not hashed.
const MAX_BYTES: u64 = 128 << 20;
/// Bytes hashed altogether.
const MAX_BYTES_IN_ALL: u64 = 512 << 20;
/// Bytes of a mount table.
const MAX_MOUNTS: usize = 1 << 20;

/// File systems that this kernel serves by itself from what is on this node. Others may ask a
/// process or another machine, and wait for the answer.
const LOCAL: &[&str] = &[
    "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "iso9660", "overlay", "ramfs",
    "rootfs", "squashfs", "tmpfs", "vfat", "xfs", "zfs",
];

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Binary {
    /// Its path as the kernel shows it.
    path: Option<Text>,
    device: Option<String>,
    inode: Option<u64>,
    size: Option<u64>,
    sha256: Option<String>,
    /// Why there is no sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_hashed: Option<String>,
}

/// Sums that are known already.
#[derive(Default)]
pub(super) struct Binaries {
    sums: HashMap<(u32, u32, u64, i64), String>,
    hashed: u64,
}

impl Binaries {
    /// The program of a process. `hash`: its sum too.
    pub(super) fn of(&mut self, pid: u32, hash: bool) -> Binary {
        let link = format!("/proc/{pid}/exe");
        let path = std::fs::read_link(&link).ok();
        let path = path.map(|path| bounded::text(path.as_os_str().as_encoded_bytes()));
        match self.look(pid, &link, hash) {
            Ok(binary) => Binary { path, ..binary },
            Err(error) => Binary { path, not_hashed: Some(error.to_string()), ..Binary::default() },
        }
    }

    fn look(&mut self, pid: u32, link: &str, hash: bool) -> io::Result<Binary> {
        // A handle alone: no file system is asked for that.
        let handle = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_PATH | OFlag::O_CLOEXEC).bits())
            .open(link)?;
        // What the kernel has in memory: nobody else is asked for that either.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let facts = statx(&handle, c"", flags, wanted)?;
        let mut binary = Binary {
            device: Some(format!("{}:{}", facts.stx_dev_major, facts.stx_dev_minor)),
            inode: Some(facts.stx_ino),
            size: Some(facts.stx_size),
            ..Binary::default()
        };
        if !hash {
            binary.not_hashed = Some("reading the process hung before".to_owned());
            return Ok(binary);
        }
        match self.sum(pid, &handle, &facts) {
            Ok(sum) => binary.sha256 = Some(sum),
            Err(why) => binary.not_hashed = Some(why),
        }
        Ok(binary)
    }

    fn sum(&mut self, pid: u32, handle: &File, facts: &Statx) -> Result<String, String> {
        if FileType::from_raw_mode(u32::from(facts.stx_mode)) != FileType::RegularFile {
            return Err("it is no regular file".to_owned());
        }
        if facts.stx_size > MAX_BYTES {
            return Err(format!("it is larger than {MAX_BYTES} bytes"));
        }
        let changed = facts.stx_mtime.tv_sec;
        let key = (facts.stx_dev_major, facts.stx_dev_minor, facts.stx_ino, changed);
        if let Some(known) = self.sums.get(&key) {
            return Ok(known.clone());
        }
        check_file_system(pid, handle, facts)?;
        if self.hashed + facts.stx_size > MAX_BYTES_IN_ALL {
            return Err(format!("{MAX_BYTES_IN_ALL} bytes of other programs were hashed"));
        }
        self.hashed += facts.stx_size;
        let sum = hash(handle, facts.stx_size).map_err(|error| error.to_string())?;
        self.sums.insert(key, sum.clone());
        Ok(sum)
    }
}

/// Whether reading asks nobody but this kernel.
fn check_file_system(pid: u32, handle: &File, facts: &Statx) -> Result<(), String> {
    let (mounts, _more) = bounded::file(format!("/proc/{pid}/mountinfo"), MAX_MOUNTS)
        .map_err(|error| format!("its mounts cannot be read: {error}"))?;
    match type_of_mount(&String::from_utf8_lossy(&mounts), facts.stx_mnt_id) {
        Some(kind) if LOCAL.contains(&kind) => Ok(()),
        Some(kind) => {
            let kind = bounded::text(kind);
            Err(format!("it is on a {} file system", kind.as_str()))
        }
        // Of no mount that is shown: a file in memory alone has none.
        None => match fstatfs(handle.as_fd()) {
            Ok(told) if told.filesystem_type() == TMPFS_MAGIC => Ok(()),
            Ok(_) => Err("it is on no mount that the process sees".to_owned()),
            Err(error) => Err(format!("its file system cannot be told: {error}")),
        },
    }
}

/// The type of the mount with this id, from the text of mountinfo.
fn type_of_mount(mounts: &str, id: u64) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let found: u64 = before.split(' ').next()?.parse().ok()?;
        if found == id { after.split(' ').next() } else { None }
    })
}

fn hash(handle: &File, size: u64) -> io::Result<String> {
    // The same file, whatever has its name by now.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).bits())
        .open(format!("/proc/self/fd/{}", handle.as_raw_fd()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut file = file.take(size);
    loop {
        let length = file.read(&mut buffer)?;
        match buffer.get(..length) {
            Some(read) if length > 0 => hasher.update(read),
            _ => break,
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_hashed_once_and_by_its_content() {
        let mut binaries = Binaries::default();
        let own = binaries.of(std::process::id(), true);
        let content = std::fs::read("/proc/self/exe").unwrap();
        let sum: String = Sha256::digest(&content).iter().map(|b| format!("{b:02x}")).collect();
        if own.not_hashed.is_none() {
            assert_eq!(own.sha256, Some(sum));
            assert_eq!(binaries.of(std::process::id(), true), own);
            assert_eq!(binaries.hashed, content.len() as u64);
        }
        assert_eq!(own.size, Some(content.len() as u64));
        let light = binaries.of(std::process::id(), false);
        assert!(light.sha256.is_none() && light.not_hashed.is_some());
    }

    #[test]
    fn a_process_that_is_gone_has_no_program() {
        let none = Binaries::default().of(5_000_000, true);
        assert!(none.path.is_none() && none.sha256.is_none() && none.not_hashed.is_some());
    }

    #[test]
    fn the_mount_is_found_by_its_id() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      22 1 0:33 / /a rw shared:1 - fuse.evil evil rw\n";
        assert_eq!(type_of_mount(mounts, 1), Some("ext4"));
        assert_eq!(type_of_mount(mounts, 22), Some("fuse.evil"));
        assert_eq!(type_of_mount(mounts, 3), None);
        assert!(!LOCAL.contains(&"fuse.evil"));
    }
}
