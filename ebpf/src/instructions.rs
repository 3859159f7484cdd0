//! Instructions that core does not offer for this target.

use core::arch::asm;

/// Adds atomically: programs on other processors, and ones that were preempted on this one, add to
/// the same value.
#[inline(always)]
pub fn add(value: *mut u64, number: u64) {
    // SAFETY: a map value or the caller's own stack, aligned to eight bytes, that every writer adds to
    // with this instruction.
    unsafe {
        asm!("lock *(u64 *)({value} + 0) += {number}", value = in(reg) value, number = in(reg) number);
    }
}

/// Adds one atomically.
#[inline(always)]
pub fn add_one(value: *mut u64) {
    add(value, 1);
}

/// Compare-and-swap. True if it was `held` and is `new` now.
#[inline(always)]
pub fn exchange(value: *mut u64, held: u64, new: u64) -> bool {
    let found: u64;
    // SAFETY: a map value, aligned to eight bytes, that every writer changes with this instruction.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({value} + 0, r0, {new})",
            value = in(reg) value,
            new = in(reg) new,
            inout("r0") held => found,
        );
    }
    found == held
}

/// The same number, of which neither compiler nor verifier knows anything: an atomic addition makes the
/// verifier forget what lies in a place of the stack. A constant that it knew it would follow through all
/// that comes after, once for each of its values.
#[inline(always)]
pub fn opaque(number: u64) -> u64 {
    let mut place = number;
    add(&raw mut place, 0);
    place
}
