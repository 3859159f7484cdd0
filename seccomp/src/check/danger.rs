//! Calls that lead out of a container.

use super::Finding;
use crate::{bpf::FilterError, calls::Arch, simulate::Simulation};

/// The call, with arguments that need it, and what it is good for.
const CALLS: [(&str, [u64; 6], &str); 22] = [
    ("bpf", [5, 0, 0, 0, 0, 0], "loads programs into the kernel"),
    ("mount", [0; 6], "undoes the masks of /proc and /sys"),
    ("fsopen", [0; 6], "mounts by the new calls"),
    ("move_mount", [0; 6], "mounts by the new calls"),
    ("open_tree", [0, 0, 1, 0, 0, 0], "copies mounts, past every mount hook"),
    ("mount_setattr", [0; 6], "makes read-only mounts writable"),
    ("pivot_root", [0; 6], "changes the root"),
    ("setns", [0; 6], "enters other namespaces"),
    (
        "unshare",
        [0x1000_0000, 0, 0, 0, 0, 0],
        "makes a user namespace, the first step of many exploits",
    ),
    (
        "clone",
        [0x1000_0200, 0, 0, 0, 0, 0],
        "makes a user namespace, the first step of many exploits",
    ),
    ("clone3", [0; 6], "makes namespaces with flags that no filter sees; refuse with ENOSYS"),
    ("init_module", [0; 6], "loads kernel modules"),
    ("finit_module", [0; 6], "loads kernel modules"),
    ("kexec_load", [0; 6], "starts another kernel"),
    ("open_by_handle_at", [0; 6], "opens files past every directory"),
    ("io_uring_setup", [8, 0, 0, 0, 0, 0], "makes calls that no filter sees"),
    ("userfaultfd", [0; 6], "stops the kernel in the middle of a copy"),
    ("keyctl", [0; 6], "reaches keyrings, which know no containers"),
    ("perf_event_open", [0; 6], "observes the kernel and other processes"),
    ("pidfd_getfd", [0; 6], "takes descriptors out of other processes"),
    ("socket", [38, 5, 0, 0, 0, 0], "AF_ALG: reaches the kernel's cipher code (CVE-2026-31431)"),
    ("socket", [40, 1, 0, 0, 0, 0], "AF_VSOCK: talks to the hypervisor"),
];

pub(super) fn findings(simulation: &Simulation) -> Result<Vec<Finding>, FilterError> {
    let mut found = Vec::new();
    for (call, arguments, what) in CALLS {
        let answer = simulation.ask(Arch::native(), call, arguments)?;
        if answer.is_some_and(|answer| answer.most().may_execute()) {
            let message = format!("`{call}` is allowed: it {what}");
            found.push(Finding::warning("dangerous", ".", message));
        }
    }
    Ok(found)
}
