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
///
/// `unless LOOK` puts a look before the decision of a hook on a hot path: where it is true there is
/// nothing to decide. Such a decision is a function of its own, so that the look saves no register and
/// takes no stack, and it gives a [plain](crate::settle::plain) answer.
macro_rules! programs {
    ($($lsm:ident $lsm_section:literal, $fentry:ident $fentry_section:literal => $decide:path $(, unless $look:path)?;)+) => {
        $(
            #[unsafe(no_mangle)]
            #[unsafe(link_section = $lsm_section)]
            fn $lsm(context: *mut core::ffi::c_void) -> i32 {
                $crate::hooks::answer!(context, bulkhead_abi::Rung::Lsm, $decide $(, $look)?)
            }

            #[unsafe(no_mangle)]
            #[unsafe(link_section = $fentry_section)]
            fn $fentry(context: *mut core::ffi::c_void) -> i32 {
                $crate::hooks::answer!(context, bulkhead_abi::Rung::Fentry, $decide $(, $look)?);
                0
            }
        )+
    };
}
pub(crate) use programs;

/// What a hook's program answers.
macro_rules! answer {
    ($context:ident, $rung:path, $decide:path) => {
        $crate::settle::plain($decide($crate::kernel::Arguments($context), $rung))
    };
    ($context:ident, $rung:path, $decide:path, $look:path) => {
        if $look($crate::kernel::Arguments($context)) {
            $crate::settle::PASS
        } else {
            $decide($crate::kernel::Arguments($context), $rung)
        }
    };
}
pub(crate) use answer;
