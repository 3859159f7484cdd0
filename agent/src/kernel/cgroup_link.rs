//! Links of cgroup programs, and what else is attached. The library makes links too, and gives nobody their
//! descriptor, without which they cannot be pinned.
#![allow(unsafe_code)]

use std::{
    ffi::CString,
    io, mem,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd};
use nix::libc;

/// Attaches a program to a cgroup, beside those that are there.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    kind: bpf_attach_type,
) -> io::Result<OwnedFd> {
    // SAFETY: all zeroes is how bpf(2) wants the members that are not set.
    let mut attributes: bpf_attr = unsafe { mem::zeroed() };
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attributes.link_create.__bindgen_anon_2.target_fd = cgroup.as_raw_fd().cast_unsigned();
    attributes.link_create.attach_type = kind as u32;
    let fd = call(bpf_cmd::BPF_LINK_CREATE, &mut attributes)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives a link a file.
pub(super) fn pin(link: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { mem::zeroed() };
    attributes.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attributes.__bindgen_anon_4.bpf_fd = link.as_raw_fd().cast_unsigned();
    call(bpf_cmd::BPF_OBJ_PIN, &mut attributes).map(drop)
}

/// How many device programs are attached to this very cgroup.
pub(crate) fn device_programs(cgroup: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: as above. No room for their numbers: the kernel then only counts.
    let mut attributes: bpf_attr = unsafe { mem::zeroed() };
    attributes.query.__bindgen_anon_1.target_fd = cgroup.as_raw_fd().cast_unsigned();
    attributes.query.attach_type = bpf_attach_type::BPF_CGROUP_DEVICE as u32;
    call(bpf_cmd::BPF_PROG_QUERY, &mut attributes)?;
    // SAFETY: every member of this union is a number of this width, written by the kernel.
    Ok(unsafe { attributes.query.__bindgen_anon_2.prog_cnt })
}

fn call(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<RawFd> {
    let length = mem::size_of::<bpf_attr>();
    // SAFETY: the attributes are as long as is said and outlive the call; what they point to does too.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, std::ptr::from_mut(attributes), length)
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(answer).map_err(io::Error::other)
}
