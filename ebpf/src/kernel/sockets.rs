//! Sockets.

use super::*;

/// A socket, by address.
#[derive(Clone, Copy)]
pub struct Socket(pub u64);

impl Socket {
    /// The one behind a `struct socket`.
    #[inline(always)]
    pub fn behind(socket: u64) -> Self {
        Self(read_at(socket, SOCKET_SK))
    }

    /// The one behind an open file of sockfs.
    #[inline(always)]
    pub fn of_file(file: OpenFile) -> Self {
        Self::behind(read_at(address_of(file.0), FILE_PRIVATE))
    }

    #[inline(always)]
    pub fn family(self) -> u16 {
        read_at(SOCK_COMMON.of(self.0), SOCK_FAMILY)
    }

    /// Address of the cgroup in which it was made.
    #[inline(always)]
    pub fn cgroup(self) -> u64 {
        read_at(self.0, SOCK_CGROUP)
    }

    /// Address of the task that listens on it, 0 where nobody does.
    #[inline(always)]
    pub fn listener(self) -> u64 {
        task_of_pid(read_at(self.0, SOCK_PEER_PID))
    }

    /// Address of the dentry to which a unix socket is bound, 0 where it has none.
    #[inline(always)]
    pub fn bound_to(self) -> u64 {
        if UNIX_PATH.exists() { path_dentry(UNIX_PATH.of(self.0)) } else { 0 }
    }

    /// The beginning of a unix socket's name: its family, and the path or the abstract name.
    #[inline(always)]
    pub fn unix_name(self) -> [u8; 24] {
        if !UNIX_ADDRESS.exists() || !UNIX_NAME.exists() {
            return [0; 24];
        }
        let address: u64 = read_at(self.0, UNIX_ADDRESS);
        match read(UNIX_NAME.of(address)) {
            Some(name) if address != 0 => name,
            _ => [0; 24],
        }
    }
}

/// Family of the socket that a descriptor of the current task is, 0 where it is no socket.
#[inline(always)]
pub fn socket_family_at(task: u64, descriptor: u64) -> u16 {
    let table: u64 = read_at(read_at(task, TASK_FILES), FILES_TABLE);
    let files: u64 = read_at(table, TABLE_FILES);
    let file: u64 = read_or_zero(files.wrapping_add(8 * descriptor));
    // uapi/linux/stat.h: S_IFMT, S_IFSOCK
    if file_inode(file).mode() & 0o170_000 != 0o140_000 {
        return 0;
    }
    Socket::behind(read_at(file, FILE_PRIVATE)).family()
}
