//! Who is at the other end of a Unix socket: what the kernel says, not what is said.

use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
};

use nix::{
    errno::Errno,
    sys::{
        socket::{getsockopt, sockopt},
        time::TimeValLike,
    },
    time::{ClockId, clock_gettime},
};
use procfs::process::Process;

/// Inode number of the initial user namespace (linux/proc_ns.h: PROC_USER_INIT_INO).
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// A process at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its process id here.
    pub(crate) pid: i32,
    /// Its user id here, when it connected or began to listen.
    pub(crate) uid: u32,
    /// The user that logged in for it, where the kernel knows.
    pub(crate) login_uid: Option<u32>,
    /// The name that it gives itself.
    pub(crate) comm: String,
    /// Its cgroup, from the root of this process's cgroup namespace.
    pub(crate) cgroup: String,
    /// Inode number of its user namespace.
    pub(crate) user_namespace: u64,
    /// Inode number of its process namespace.
    pub(crate) pid_namespace: u64,
}

/// Why nobody can say who is there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// The socket does not tell.
    #[error("the kernel does not say who is at the other end")]
    Credentials(#[from] Errno),
    /// The process is in no namespace that is visible here, or has ended.
    #[error("the process at the other end is not visible here (process id {0})")]
    Invisible(i32),
    /// It began after the connection: the process that connected is gone and another has its id.
    #[error("the process that connected is gone (process id {0})")]
    Gone(i32),
    /// Its description under /proc cannot be read.
    #[error("cannot read what process {pid} is")]
    Proc {
        /// Which.
        pid: i32,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Peer {
    /// Who is at the other end of `socket`. To be asked at once after the connection is made.
    pub(crate) fn of(socket: &impl AsFd) -> Result<Self, PeerError> {
        let asked = clock_gettime(ClockId::CLOCK_BOOTTIME)?.num_milliseconds();
        let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
        let pid = credentials.pid();
        if pid <= 0 {
            return Err(PeerError::Invisible(pid));
        }
        let peer =
            Self::read(pid, credentials.uid()).map_err(|source| PeerError::Proc { pid, source })?;
        // Asked last, so that all that was read before is of a process that was there first: an id
        // can only be somebody else's if that one began later.
        let began = started(pid).map_err(|source| PeerError::Proc { pid, source })?;
        if began > asked { Err(PeerError::Gone(pid)) } else { Ok(peer) }
    }

    fn read(pid: i32, uid: u32) -> io::Result<Self> {
        let of = |name: &str| format!("/proc/{pid}/{name}");
        let comm = fs::read(of("comm"))?;
        let cgroup = fs::read_to_string(of("cgroup"))?;
        Ok(Self {
            pid,
            uid,
            login_uid: fs::read_to_string(of("loginuid"))
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .filter(|uid| *uid != u32::MAX),
            comm: String::from_utf8_lossy(comm.trim_ascii_end()).into_owned(),
            cgroup: unified(&cgroup).unwrap_or("/").to_owned(),
            user_namespace: namespace(&of("ns/user"))?,
            pid_namespace: namespace(&of("ns/pid"))?,
        })
    }

    /// Whether it is root of the node, and not of a user namespace of somebody's.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0 && self.user_namespace == INITIAL_USER_NAMESPACE
    }

    /// Whether it is root as this process is, and sees the same processes.
    pub(super) fn is_root_here(&self) -> io::Result<bool> {
        Ok(self.uid == 0
            && self.user_namespace == namespace("/proc/self/ns/user")?
            && self.pid_namespace == namespace("/proc/self/ns/pid")?)
    }
}

/// The line of the cgroup v2 hierarchy.
fn unified(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

fn namespace(path: &str) -> io::Result<u64> {
    Ok(fs::metadata(Path::new(path))?.ino())
}

/// When a process began, in milliseconds since boot, rounded down.
fn started(pid: i32) -> io::Result<i64> {
    let stat = Process::new(pid).and_then(|process| process.stat()).map_err(io::Error::other)?;
    let milliseconds = u128::from(stat.starttime) * 1_000 / u128::from(procfs::ticks_per_second());
    i64::try_from(milliseconds).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn this_process_is_known_for_what_it_is() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
        assert_eq!(u32::try_from(peer.pid).unwrap(), std::process::id());
        assert_eq!(peer.uid, nix::unistd::getuid().as_raw());
        assert!(peer.cgroup.starts_with('/'), "{}", peer.cgroup);
        assert_eq!(peer.is_root_here().unwrap(), peer.uid == 0);
    }

    #[test]
    fn root_of_a_user_namespace_is_not_root() {
        let peer = Peer {
            pid: 1,
            uid: 0,
            login_uid: None,
            comm: "x".to_owned(),
            cgroup: "/".to_owned(),
            user_namespace: INITIAL_USER_NAMESPACE,
            pid_namespace: 1,
        };
        assert!(peer.is_root());
        assert!(!Peer { user_namespace: 4_026_532_000, ..peer.clone() }.is_root());
        assert!(!Peer { uid: 1000, ..peer }.is_root());
    }

    #[test]
    fn the_unified_line_is_found_among_those_of_version_1() {
        assert_eq!(unified("4:memory:/a\n0::/system.slice/x\n"), Some("/system.slice/x"));
        assert_eq!(unified("4:memory:/a\n"), None);
    }
}
