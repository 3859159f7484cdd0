//! The file or mount an act is on.

use bulkhead_abi as abi;
use bulkhead_abi::party_flag;
use serde::Serialize;
use zerocopy::FromZeros;

use super::{Attribution, Container, Names, Party, Pod, Text, words};
use crate::decode;

/// Whose a file is: the workload in whose namespaces it lives or whose process it tells about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileOwner {
    /// How sure the names are.
    pub attribution: Attribution,
    /// The tenant's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Text>,
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

impl FileOwner {
    fn new(file: &abi::File, names: &dyn Names) -> Option<Self> {
        if file.flags & party_flag::OWNED == 0 {
            return None;
        }
        let mut party = abi::Party::new_zeroed();
        party.identity = file.owner;
        party.cgroup = file.owner.container;
        if !file.owner.is_host() {
            party.flags = party_flag::WORKLOAD;
        }
        let Party { attribution, tenant, pod, container, .. } = Party::new(&party, names);
        Some(Self { attribution, tenant, pod, container })
    }
}

/// A file or mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// The path inside its file system, or the mount's source.
    pub path: Text,
    /// Whether the path's beginning, or a part of one of its names, is missing.
    pub truncated: bool,
    /// The file system's device, `major:minor`.
    pub device: String,
    /// The inode number; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// The file system's type: as the act named it, else by its magic number, else that number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<Text>,
    /// For device nodes, the device they stand for, `major:minor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_device: Option<String>,
    /// The kind of file; absent where there is no inode.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub file_type: Option<&'static str>,
    /// The permissions in octal; absent where there is no inode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whose it is, where the rule asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<FileOwner>,
}

impl File {
    /// Puts a record's file into words.
    pub fn new(file: &abi::File, names: &dyn Names) -> Self {
        let file_type = file_type(file.mode);
        Self {
            path: Text::new(decode::path(&file.path, file.path_start)),
            truncated: file.flags & party_flag::PATH_TRUNCATED != 0,
            device: device(file.device),
            inode: (file.inode != 0).then_some(file.inode),
            filesystem: filesystem(file),
            special_device: matches!(file_type, Some("block-device" | "character-device"))
                .then(|| device(file.special_device)),
            file_type,
            mode: (file.mode != 0).then(|| format!("{:04o}", file.mode & 0o7777)),
            owner: FileOwner::new(file, names),
        }
    }
}

/// `major:minor` of a device number in the kernel's own encoding.
pub(super) fn device(number: u32) -> String {
    format!("{}:{}", number >> 20, number & 0xf_ffff)
}

fn filesystem(file: &abi::File) -> Option<Text> {
    let named = decode::zero_filled(&file.fstype);
    if !named.is_empty() {
        return Some(Text::new(named));
    }
    let by_magic = |magic| match words::find(words::FILE_SYSTEM, magic) {
        Some(name) => Text::new(name),
        None => Text::new(format!("{magic:#x}")),
    };
    (file.magic != 0).then(|| by_magic(file.magic))
}

/// uapi/linux/stat.h
const fn file_type(mode: u32) -> Option<&'static str> {
    Some(match mode & 0o170_000 {
        0o140_000 => "socket",
        0o120_000 => "symlink",
        0o100_000 => "regular",
        0o060_000 => "block-device",
        0o040_000 => "directory",
        0o020_000 => "character-device",
        0o010_000 => "fifo",
        _ => return None,
    })
}
