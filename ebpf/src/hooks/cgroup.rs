//! The rung for nodes without BPF LSM and fentry: programs of the cgroup itself. They see devices
//! and sysctl writes, and can refuse them.
//!
//! These program types have no task storage and no registers: the runtime's set-up cannot be told
//! from the workload here. It opens no block device and writes no sysctl that has a rule.

use aya_ebpf::{bindings, helpers::generated::bpf_sysctl_get_name};
use bulkhead_abi::{Phase, Rung, SENSITIVE_NAME_LEN, SensitiveFile, file_target, name_target};
use bulkhead_guard::{files, mounts::PROC_SUPER_MAGIC};

use crate::{
    actor::Actor,
    maps::sensitive,
    record,
    settle::{PASS, Site, on_file},
};

/// What a cgroup program returns to let the act pass, and to refuse it.
pub(super) const ALLOW: i32 = 1;
const FORBID: i32 = 0;
/// uapi/linux/bpf.h: BPF_DEVCG_DEV_BLOCK; access: MKNOD 1, READ 2, WRITE 4.
pub(super) const DEVICE_BLOCK: u32 = 1;
const ACCESS_READ: u32 = 2;
const ACCESS_WRITE: u32 = 4;
// uapi/linux/stat.h
pub(super) const S_IFCHR: u32 = 0o020000;
pub(super) const S_IFBLK: u32 = 0o060000;

const SITE: Site = Site { rung: Rung::Cgroup, phase: Phase::Attempted };

/// A device is opened or made.
#[unsafe(no_mangle)]
#[unsafe(link_section = "cgroup/dev")]
fn cgroup_device(context: *mut bindings::bpf_cgroup_dev_ctx) -> i32 {
    // SAFETY: the kernel's context, whose three words the verifier lets us read.
    let (kind, major, minor) =
        unsafe { ((*context).access_type, (*context).major, (*context).minor) };
    let access = kind >> 16;
    if access & (ACCESS_READ | ACCESS_WRITE) == 0 {
        return ALLOW;
    }
    let mode = if kind & 0xffff == DEVICE_BLOCK { S_IFBLK } else { S_IFCHR };
    let device = (major << 20) | (minor & 0xf_ffff);
    let Some(rule) = files::of_device(mode, device) else { return ALLOW };
    let Some(actor) = Actor::by_cgroup() else { return ALLOW };
    // linux/fs.h: FMODE_READ is 1, FMODE_WRITE 2: half of the access bits.
    let numbers = [0, u64::from(access >> 1), 0];
    let which = file_target(0, 0, device, 0);
    answer(on_file(&actor, rule, numbers, SITE, which, |file| {
        // SAFETY: `on_file` gives a pointer into the record that it has reserved.
        unsafe { record::fill_device(file, mode, device) };
    }))
}

/// A sysctl is read or written.
#[unsafe(no_mangle)]
#[unsafe(link_section = "cgroup/sysctl")]
fn cgroup_sysctl(context: *mut bindings::bpf_sysctl) -> i32 {
    // SAFETY: the kernel's context.
    let write = unsafe { (*context).write } != 0;
    let Some(actor) = Actor::by_cgroup() else { return ALLOW };
    let mut key = SensitiveFile { magic: PROC_SUPER_MAGIC, name: [0; SENSITIVE_NAME_LEN] };
    // uapi/linux/bpf.h: BPF_F_SYSCTL_BASE_NAME: the last part of the name alone.
    // SAFETY: the context is the kernel's own, and the buffer has the length that the helper is told.
    let length = unsafe {
        bpf_sysctl_get_name(context, key.name.as_mut_ptr().cast(), key.name.len() as u64, 1)
    };
    if length < 0 {
        // Longer than any sensitive name.
        return ALLOW;
    }
    let Some(value) = sensitive(&key) else { return ALLOW };
    let access = if write { files::FMODE_WRITE } else { 1 };
    let Some(rule) = files::unpack(value, access) else { return ALLOW };
    let (numbers, which) = ([0, u64::from(access), 0], name_target(key.magic, &key.name));
    answer(on_file(&actor, rule, numbers, SITE, which, |file| {
        // SAFETY: `on_file` gives a pointer into the record that it has reserved.
        unsafe { record::fill_name(file, &key) };
    }))
}

#[inline(always)]
pub(super) const fn answer(errno: i32) -> i32 {
    if errno == PASS { ALLOW } else { FORBID }
}
