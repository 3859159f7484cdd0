//! What a process has open.

use std::{collections::BTreeSet, fs, io};

use bulkhead_policy::event::Text;
use serde::Serialize;

use super::bounded;

/// Descriptors that are told.
const MAX_TOLD: usize = 256;
/// Bytes of all that they point to.
const MAX_BYTES: usize = 64 << 10;
/// Descriptors that are counted.
const MAX_COUNTED: usize = 65_536;

/// The open descriptors.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptors {
    /// How many there are.
    count: usize,
    open: Vec<Descriptor>,
    /// Whether some are not told.
    cut: bool,
    /// Why they cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
    /// Inode numbers of the sockets among them.
    #[serde(skip)]
    pub(super) sockets: BTreeSet<u64>,
}

#[derive(Debug, Serialize)]
struct Descriptor {
    fd: u32,
    target: Text,
    /// As in fdinfo: the flags of open(2), octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<String>,
}

/// Of a process. Links are read, never followed.
pub(super) fn read(pid: u32) -> Descriptors {
    let mut told = Descriptors::default();
    if let Err(error) = fill(pid, &mut told) {
        told.unread = Some(error.to_string());
    }
    told
}

fn fill(pid: u32, told: &mut Descriptors) -> io::Result<()> {
    let mut bytes = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        told.count += 1;
        if told.count > MAX_COUNTED {
            told.cut = true;
            return Ok(());
        }
        let name = entry.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that cannot be read was closed by a process that does not stand still yet.
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let target = target.as_os_str().as_encoded_bytes().to_vec();
        if let Some(inode) = socket_inode(&target) {
            told.sockets.insert(inode);
        }
        bytes += target.len();
        if told.open.len() >= MAX_TOLD || bytes > MAX_BYTES {
            told.cut = true;
            continue;
        }
        told.open.push(Descriptor { fd, target: bounded::text(target), flags: flags(pid, fd) });
    }
    told.open.sort_by_key(|descriptor| descriptor.fd);
    Ok(())
}

/// `socket:[4711]`
fn socket_inode(target: &[u8]) -> Option<u64> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn flags(pid: u32, fd: u32) -> Option<String> {
    let (text, _more) = bounded::file(format!("/proc/{pid}/fdinfo/{fd}"), 512).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    Some(flags.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_told_and_sockets_are_known() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let inode = socket_inode(
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&one)))
                .unwrap()
                .as_os_str()
                .as_encoded_bytes(),
        );
        let told = read(std::process::id());
        assert!(told.sockets.contains(&inode.unwrap()));
        assert!(told.count >= told.open.len() && !told.open.is_empty());
        assert!(told.open[0].flags.is_some());
        assert!(read(5_000_000).unread.is_some());
    }
}
