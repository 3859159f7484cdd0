//! Which acts are told. Every act is counted; its record costs room in a ring that all tenants
//! share, and the agent's time.
//!
//! ```text
//! the process did the same a moment ago    -> counted with that
//! another process of the container did     -> told, as long as the purse for that pays, else counted
//! the tenant's purse for this lane pays    -> told
//! never seen, and the rule's own purse pays -> told, as long as the ring is not half full
//! else                                     -> over budget
//! ```
//!
//! The last half of a ring is for those who keep within their budget: what one tenant does more can
//! not take the room of another.

use core::ptr;

use aya_ebpf::{helpers::generated::bpf_ktime_get_boot_ns, maps::RingBuf};
use bulkhead_abi::{ActKey, Fate, Identity, Repeats, Verdict, WINDOW, WINDOW_OVER};
use bulkhead_guard::budget::Budget;

use crate::{
    instructions::{add_one, exchange},
    maps::{ACTS, CRITICAL, CRITICAL_BYTES, EVENTS, EVENTS_BYTES, PURSES, PurseKey},
};

/// Purses of a tenant: one a lane, and from [`PURSE_FIRST`] on one a rule.
const PURSE_OTHER: u32 = 0;
const PURSE_CRITICAL: u32 = 1;
const PURSE_AGAIN: u32 = 2;
const PURSE_FIRST: u32 = 16;
/// Others may spend at the same moment; each lost race means that somebody else's record went out.
const ATTEMPTS: u32 = 4;

/// The ring of a lane.
#[inline(always)]
pub fn ring(critical: bool) -> &'static RingBuf {
    if critical { &CRITICAL } else { &EVENTS }
}

/// Who pays: the tenant; where nobody has named one, the container, and those without one together.
#[inline(always)]
pub const fn payer(identity: &Identity) -> u64 {
    if identity.tenant != 0 { identity.tenant as u64 } else { 1 << 63 | identity.container }
}

/// [`Fate::Delivered`] where the act is to be told, else the fate itself. A global function, which
/// the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn admit(key: *const ActKey, payer: u64, critical: u32) -> i32 {
    if key.is_null() {
        return Fate::OverBudget as i32;
    }
    // A copy: kernels before 6.4 take a key of a map from the program's own stack alone. One, and
    // changed in its place, because the stack has no room for two.
    // SAFETY: the caller's key, as large as its type says; the verifier holds us to it.
    let mut key = unsafe { ptr::read(key) };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let mut known = false;
    if !each_is_told(&key) {
        if let Some(entry) = entry(&key) {
            known = true;
            if since(entry, now) < WINDOW {
                return repeat(entry, now);
            }
        }
        key.process = 0;
        if let Some(entry) = entry(&key) {
            known = true;
            if since(entry, now) < WINDOW {
                if spend(payer, PURSE_AGAIN, Budget::FIRST, now) {
                    return Fate::Delivered as i32;
                }
                return repeat(entry, now);
            }
        }
    }
    let (purse, budget) = if critical == 0 {
        (PURSE_OTHER, Budget::OTHER)
    } else {
        (PURSE_CRITICAL, Budget::CRITICAL)
    };
    if spend(payer, purse, budget, now) {
        return Fate::Delivered as i32;
    }
    if known || crowded(critical) {
        return Fate::OverBudget as i32;
    }
    let purse = PURSE_FIRST + u32::from(key.rule);
    if spend(payer, purse, Budget::FIRST, now) {
        return Fate::Delivered as i32;
    }
    Fate::OverBudget as i32
}

/// The act has been told: what is the same is counted with it from now on. Only what is in the ring
/// comes here, so that nothing is counted with a record that nobody gets.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn told(key: *const ActKey) -> i32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: as in `admit`.
    let mut key = unsafe { ptr::read(key) };
    if each_is_told(&key) {
        return 0;
    }
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    renew(&key, now, 0);
    // Its window stays as it is while it lasts, however many processes are told of in it.
    key.process = 0;
    renew(&key, now, WINDOW);
    0
}

#[inline(always)]
fn entry(key: &ActKey) -> Option<*mut Repeats> {
    ACTS.get_ptr_mut(key)
}

/// An act is counted with the one that was told.
#[inline(always)]
fn repeat(entry: *mut Repeats, now: u64) -> i32 {
    // SAFETY: a map value; whoever writes last has repeated it last.
    unsafe { ptr::write_volatile(&raw mut (*entry).last, now) };
    // SAFETY: as above.
    add_one(unsafe { &raw mut (*entry).count });
    Fate::Repeated as i32
}

/// The window of an act begins anew, if it is at least so old.
#[inline(always)]
fn renew(key: &ActKey, now: u64, age: u64) {
    match entry(key) {
        Some(entry) => {
            let since = since(entry, now);
            // An older one is about to be removed: what were added to it could be lost.
            if since >= age && since < WINDOW_OVER {
                // SAFETY: a map value; a later time is as good.
                unsafe { ptr::write_volatile(&raw mut (*entry).told, now) };
            }
        }
        None => {
            // Without room, or beaten by another processor: the next one is told, too.
            // linux/bpf.h: BPF_NOEXIST
            #[allow(clippy::needless_borrows_for_generic_args, reason = "a copy on the stack")]
            let _told_again = ACTS.insert(key, Repeats { told: now, last: now, count: 0 }, 1);
        }
    }
}

/// The agent answers each record of such an act; a repeat after the answer must have one, too.
#[inline(always)]
const fn each_is_told(key: &ActKey) -> bool {
    key.verdict == Verdict::Freeze as u8
}

/// How long ago the act was told; another processor's clock may be ahead.
#[inline(always)]
fn since(entry: *mut Repeats, now: u64) -> u64 {
    // SAFETY: a map value, read whole.
    let told = unsafe { ptr::read_volatile(&raw const (*entry).told) };
    now.saturating_sub(told)
}

#[inline(always)]
fn crowded(critical: u32) -> bool {
    // linux/bpf.h: BPF_RB_AVAIL_DATA
    if critical == 0 {
        EVENTS.query(0) > u64::from(EVENTS_BYTES / 2)
    } else {
        CRITICAL.query(0) > u64::from(CRITICAL_BYTES / 2)
    }
}

#[inline(always)]
fn spend(payer: u64, purse: u32, budget: Budget, now: u64) -> bool {
    let key = PurseKey { payer, purse, padding: 0 };
    let purse = match PURSES.get_ptr_mut(key) {
        Some(purse) => purse,
        None => {
            // Another processor may have been faster: then it is there.
            let _exists = PURSES.insert(key, 0, 1);
            match PURSES.get_ptr_mut(key) {
                Some(purse) => purse,
                // The map takes nobody in this moment: the ring is the bound then.
                None => return true,
            }
        }
    };
    for _ in 0..ATTEMPTS {
        // SAFETY: a map value, read whole.
        let held = unsafe { ptr::read_volatile(purse) };
        let Some(after) = budget.spend(held, now) else { return false };
        if exchange(purse, held, after) {
            return true;
        }
    }
    false
}
