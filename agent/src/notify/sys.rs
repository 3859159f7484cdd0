//! The calls that a listener takes, as linux/seccomp.h declares them.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{errno::Errno, libc};

/// struct seccomp_notif.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Notification {
    pub(super) id: u64,
    pub(super) pid: u32,
    flags: u32,
    pub(super) number: i32,
    pub(super) arch: u32,
    instruction: u64,
    pub(super) arguments: [u64; 6],
}

/// struct seccomp_notif_resp.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

// _IOWR('!', 0, struct seccomp_notif) and its neighbours.
nix::ioctl_readwrite!(notif_recv, b'!', 0, Notification);
nix::ioctl_readwrite!(notif_send, b'!', 1, Response);
nix::ioctl_write_ptr!(notif_id_valid, b'!', 2, u64);

/// Takes the next notification; `None` where its task has given up meanwhile.
pub(super) fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Notification>> {
    // The kernel insists on zeroes.
    let mut notification = Notification::default();
    // SAFETY: the kernel writes one struct seccomp_notif, whose layout this is; the descriptor is
    // borrowed, so it is open.
    match unsafe { notif_recv(listener.as_raw_fd(), &raw mut notification) } {
        Ok(_) => Ok(Some(notification)),
        Err(Errno::ENOENT | Errno::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the task still waits: what was read about its process was about it, and not about a
/// later one with its number.
pub(super) fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one number.
    unsafe { notif_id_valid(listener.as_raw_fd(), &raw const id) }.is_ok()
}

/// Has the call return EPERM. A task that has given up needs no answer.
pub(super) fn refuse(listener: BorrowedFd<'_>, id: u64) -> io::Result<()> {
    let mut response = Response { id, value: 0, error: -libc::EPERM, flags: 0 };
    // SAFETY: the kernel reads one struct seccomp_notif_resp, whose layout this is.
    match unsafe { notif_send(listener.as_raw_fd(), &raw mut response) } {
        Ok(_) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes a descriptor that has just arrived by SCM_RIGHTS, and is nobody else's.
pub(super) fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel has made it for this message, which is read once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
