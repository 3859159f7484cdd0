//! One file per hook family. Each hook is one decision and two programs.

mod bpf;
mod capabilities;
mod cgroup;
mod descriptors;
mod devices;
mod exec;
mod files;
mod mounts;
mod names;
mod namespaces;
mod objects;
mod own;
mod processes;
mod sockets;
mod system;

/// Makes the two programs of a decision: `lsm_HOOK`, whose answer counts, and `fentry_HOOK`, on
/// the kernel function that calls the hook, whose answer cannot.
macro_rules! programs {
    ($($lsm:ident $lsm_section:literal, $fentry:ident $fentry_section:literal => $decide:path;)+) => {
        $(
            #[unsafe(no_mangle)]
            #[unsafe(link_section = $lsm_section)]
            fn $lsm(context: *mut core::ffi::c_void) -> i32 {
                let answer = $decide($crate::kernel::Arguments(context), bulkhead_abi::Rung::Lsm);
                $crate::settle::plain(answer)
            }

            #[unsafe(no_mangle)]
            #[unsafe(link_section = $fentry_section)]
            fn $fentry(context: *mut core::ffi::c_void) -> i32 {
                $decide($crate::kernel::Arguments(context), bulkhead_abi::Rung::Fentry);
                0
            }
        )+
    };
}
pub(crate) use programs;
