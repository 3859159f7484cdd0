//! Requests to the kernel as a whole, made so that granting them does nothing.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, CString},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::{errno::Errno, libc};

use super::{address, call, call_numbers, owned};

/// A ring of one entry.
pub(crate) fn io_uring() -> nix::Result<OwnedFd> {
    // The kernel's `struct io_uring_params` is 120 bytes, which it fills.
    let mut parameters = [0u64; 15];
    let place = parameters.as_mut_ptr().expose_provenance();
    // SAFETY: the structure outlives the call, which fills it, and is as large as the kernel's.
    owned(unsafe { call(libc::SYS_io_uring_setup, [1, place, 0, 0, 0]) }?)
}

/// One for faults of user mode alone, which needs no privilege.
pub(crate) fn userfaultfd() -> nix::Result<OwnedFd> {
    const UFFD_USER_MODE_ONLY: i64 = 1;
    // SAFETY: numbers alone.
    owned(unsafe { call_numbers(libc::SYS_userfaultfd, [UFFD_USER_MODE_ONLY, 0, 0, 0, 0]) }?)
}

/// init_module(2) of a page of zeroes, which is no module.
pub(crate) fn load_zeroes_as_module() -> nix::Result<()> {
    let zeroes = [0u8; 4096];
    let arguments = [address(&zeroes), zeroes.len(), c"".as_ptr().addr(), 0, 0];
    // SAFETY: both outlive the call, which copies them.
    unsafe { call(libc::SYS_init_module, arguments) }.map(drop)
}

/// kexec_load(2) with more segments than the kernel takes, which it refuses before it reads one.
pub(crate) fn load_impossible_kernel() -> nix::Result<()> {
    // SAFETY: the segments' address is null and is not read.
    unsafe { call_numbers(libc::SYS_kexec_load, [0, 1_000, 0, 0, 0]) }.map(drop)
}

/// settimeofday(2) without a time and without a zone.
pub(crate) fn set_no_time() -> nix::Result<()> {
    // SAFETY: both addresses are null, which the call allows.
    unsafe { call_numbers(libc::SYS_settimeofday, [0, 0, 0, 0, 0]) }.map(drop)
}

/// The size of the kernel's log buffer (SYSLOG_ACTION_SIZE_BUFFER).
pub(crate) fn log_length() -> nix::Result<()> {
    const SIZE_BUFFER: i64 = 10;
    // SAFETY: this action reads no address.
    unsafe { call_numbers(libc::SYS_syslog, [SIZE_BUFFER, 0, 0, 0, 0]) }.map(drop)
}

/// A fanotify mark on the mount of `path`, which goes with the descriptor.
pub(crate) fn watch_mount(path: &Path) -> nix::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: numbers alone: class notif, closed on exec.
    let watch = owned(unsafe { call_numbers(libc::SYS_fanotify_init, [1, 0, 0, 0, 0]) }?)?;
    let fd = usize::try_from(watch.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let (flags, mask) = (libc::FAN_MARK_ADD | libc::FAN_MARK_MOUNT, libc::FAN_OPEN);
    let mask = usize::try_from(mask).map_err(|_| Errno::EINVAL)?;
    let here = libc::AT_FDCWD as usize;
    // SAFETY: the path outlives the call.
    unsafe {
        call(libc::SYS_fanotify_mark, [fd, flags as usize, mask, here, path.as_ptr().addr()])
    }?;
    Ok(watch)
}

/// A page that is written to and then made executable.
pub(crate) fn make_page_executable() -> nix::Result<()> {
    let (writable, code) = (libc::PROT_READ | libc::PROT_WRITE, libc::PROT_READ | libc::PROT_EXEC);
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new page that nothing else uses; it goes with the process.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, writable, private, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the page of just now.
    Errno::result(unsafe { libc::mprotect(page, 4096, code) }).map(drop)
}

/// Gives the file at `path` CAP_NET_BIND_SERVICE, which any container's root may use anyway.
pub(crate) fn give_file_capability(path: &Path) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // uapi/linux/capability.h: struct vfs_cap_data, revision 2, effective.
    let data: [u32; 5] = [0x0200_0001, 1 << 10, 0, 0, 0];
    let name = c"security.capability";
    let arguments =
        [path.as_ptr().addr(), name.as_ptr().addr(), address(&data), size_of_val(&data), 0];
    // SAFETY: all outlive the call, and the data is as long as is said.
    unsafe { call(libc::SYS_setxattr, arguments) }.map(drop)
}

/// Sets all three user ids of this thread, without what the C library does for the others.
pub(crate) fn set_user_ids(id: i64) -> nix::Result<()> {
    // SAFETY: numbers alone.
    unsafe { call_numbers(libc::SYS_setresuid, [id, id, id, 0, 0]) }.map(drop)
}

/// Becomes nobody and keeps the capabilities.
pub(crate) fn give_up_root() -> nix::Result<()> {
    const SECBIT_NO_SETUID_FIXUP: i64 = 4;
    let numbers = [libc::PR_SET_SECUREBITS.into(), SECBIT_NO_SETUID_FIXUP, 0, 0, 0];
    // SAFETY: numbers alone.
    unsafe { call_numbers(libc::SYS_prctl, numbers) }?;
    set_user_ids(65_534)
}

/// uapi/linux/capability.h: version 3, this thread.
const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// Effective, permitted and inheritable capabilities, in two halves.
pub(crate) type Capabilities = [u32; 6];

/// Drops every effective capability and hands back what there was.
pub(crate) fn drop_effective() -> nix::Result<Capabilities> {
    let mut kept: Capabilities = [0; 6];
    let place = kept.as_mut_ptr().expose_provenance();
    // SAFETY: both outlive the call, which fills the second.
    unsafe { call(libc::SYS_capget, [address(&CAPABILITY_HEADER), place, 0, 0, 0]) }?;
    let [_, low, inheritable_low, _, high, inheritable_high] = kept;
    set_effective(&[0, low, inheritable_low, 0, high, inheritable_high])?;
    Ok(kept)
}

/// Sets the capabilities.
pub(crate) fn set_effective(capabilities: &Capabilities) -> nix::Result<()> {
    let arguments = [address(&CAPABILITY_HEADER), address(capabilities), 0, 0, 0];
    // SAFETY: both outlive the call, which reads them.
    unsafe { call(libc::SYS_capset, arguments) }.map(drop)
}

/// A context in which a file system would be mounted.
pub(crate) fn file_system_context(kind: &CStr) -> nix::Result<OwnedFd> {
    // SAFETY: the name outlives the call.
    owned(unsafe { call(libc::SYS_fsopen, [kind.as_ptr().addr(), 0, 0, 0, 0]) }?)
}

/// Sets a parameter of such a context.
pub(crate) fn set_parameter(context: &OwnedFd, name: &CStr) -> nix::Result<()> {
    const FSCONFIG_SET_STRING: usize = 1;
    let fd = usize::try_from(context.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let arguments = [fd, FSCONFIG_SET_STRING, name.as_ptr().addr(), c"600".as_ptr().addr(), 0];
    // SAFETY: both texts outlive the call.
    unsafe { call(libc::SYS_fsconfig, arguments) }.map(drop)
}
