//! The kernel side of Bulkhead.
//!
//! ```text
//! hooks/*    a kernel hook fires: read the kernel object, ask `bulkhead_guard` which rule it meets
//! actor      who is it: the current cgroup's entry; nothing found means the host, and the end
//! settle     the level's verdict: count it, report it, refuse it
//! generation whose turn it is while one build relieves another
//! record     what is told of an act
//! gate       whether its record goes out: repeats are counted, floods are bounded
//! lifecycle  cgroups made and removed, tasks placed, forked and executed: who is who
//! lineage    from which processes a process comes
//! own        what is the agent's own
//! recorder   which calls a container makes, while somebody records them
//!
//! kernel, instructions   reading kernel objects; what core lacks for this target
//! ```
//!
//! Each decision has two programs, BPF LSM (refuses) and fentry (sees); the agent attaches one.
#![no_std]
#![no_main]
// See instructions.rs.
#![feature(asm_experimental_arch)]

mod actor;
mod canary;
mod gate;
mod generation;
mod hooks;
mod instructions;
mod kernel;
mod lifecycle;
mod lineage;
mod maps;
mod own;
mod record;
mod recorder;
mod settle;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Kernel helpers that read kernel memory are for GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
