//! Devices that the runtime did not grant. A cgroup program, beside the runtime's own: the kernel asks
//! both, so this one holds where the other was loosened, and sees what the other refuses.
//!
//! Nothing is asked at ioctl, read or write: a device that was opened works at its own speed.

use aya_ebpf::bindings;
use bulkhead_abi::{Phase, Rule, Rung, file_target};
use bulkhead_guard::devices;

use crate::{
    actor::Actor,
    hooks::cgroup::{ALLOW, DEVICE_BLOCK, S_IFBLK, S_IFCHR, answer},
    maps::grants_of,
    record,
    settle::{Site, on_file},
};

const SITE: Site = Site { rung: Rung::Cgroup, phase: Phase::Attempted };
/// To make a node is no access to its device (uapi/linux/bpf.h: BPF_DEVCG_ACC_MKNOD is 1), and
/// runtimes grant it to all.
const OPENS: u32 = 2 | 4;

#[unsafe(no_mangle)]
#[unsafe(link_section = "cgroup/dev")]
fn cgroup_grants(context: *mut bindings::bpf_cgroup_dev_ctx) -> i32 {
    // SAFETY: the kernel's context, whose three words the verifier lets us read.
    let (kind, major, minor) =
        unsafe { ((*context).access_type, (*context).major, (*context).minor) };
    let access = (kind >> 16) & OPENS;
    let block = kind & 0xffff == DEVICE_BLOCK;
    if access == 0 || devices::is_ordinary(block, major, minor) {
        return ALLOW;
    }
    let Some(actor) = Actor::by_cgroup() else { return ALLOW };
    // Not known (yet): the runtime's own program decides alone.
    let Some(grants) = grants_of(actor.identity.container) else { return ALLOW };
    if devices::is_granted(grants, block, major, minor, access as u8) {
        return ALLOW;
    }
    let mode = if block { S_IFBLK } else { S_IFCHR };
    let device = (major << 20) | (minor & 0xf_ffff);
    // linux/fs.h: FMODE_READ is 1, FMODE_WRITE 2: half of the access bits.
    let numbers = [0, u64::from(access >> 1), 0];
    let which = file_target(0, 0, device, 0);
    answer(on_file(&actor, Rule::DeviceNotGranted, numbers, SITE, which, |file| {
        // SAFETY: `on_file` gives a pointer into the record that it has reserved.
        unsafe { record::fill_device(file, mode, device) };
    }))
}
